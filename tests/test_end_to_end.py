"""The page that goes from a submission to the board, as it stands, against the Hub's double."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hub_double import AUTHOR, WRITER, Hub
from releases import environment
from sandboxed import need_sandbox
from test_readme import blocks

from lotterybench.results import read
from lotterybench.submissions.referee.workplace import Workplace

PAGE = "docs/end-to-end.md"
REPO = "org/lotterybench-submissions"
NAMES = {"even-tenth": "subset", "hard-and-even": "selector", "small-simclr": "method"}


@pytest.fixture(scope="module")
def after(tmp_path_factory):
    """What is there when the whole page was run: its folder, and the repository in the double."""
    need_sandbox()
    folder = tmp_path_factory.mktemp("end-to-end")
    with Hub() as hub:
        repo = hub.create(REPO)
        env = environment(
            hub.url, folder / "home", LOTTERYBENCH_CACHE=str(folder / "cache"),
            PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        )  # fmt: skip
        for kind, code, why in blocks(PAGE):
            assert (kind, why) == ("bash", None)
            for part in re.split(r"(?m)^(?=lotterybench rerun --queue)", code):
                # The referee has another token than the author.
                token = WRITER if part.startswith("lotterybench rerun --queue") else AUTHOR
                done = subprocess.run(
                    ["bash", "-euo", "pipefail", "-c", part], cwd=folder,
                    env={**env, "HF_TOKEN": token}, capture_output=True, text=True, check=False,
                    timeout=900,
                )  # fmt: skip
                assert done.returncode == 0, f"{part}\n{done.stdout}\n{done.stderr}"
        yield folder / "out" / "round", hub, repo


@pytest.mark.slow
def test_all_three_are_verified_with_their_isolation(after):
    workplace = Workplace(after[0])
    found = {one.name: one for one in workplace.reruns()}
    assert {name: one.kind for name, one in found.items()} == NAMES
    assert {one.state for one in found.values()} == {"verified"}
    for name, level in (
        ("even-tenth", "rerun-unsandboxed"),  # a manifest: no submitted code runs
        ("hard-and-even", "rerun-sandboxed"),
        ("small-simclr", "rerun-sandboxed"),
    ):
        assert found[name].isolation == level
        lines = [line for file in found[name].results for line in read(workplace.results / file)]
        assert {line.isolation for line in lines} == {level}
        assert {line.origin for line in lines} == {f"submission:{name}"}
        assert {line.status for line in lines} == {"ok"}
    (claim,) = found["even-tenth"].claims
    assert claim.says in ("agrees", "above") and claim.value is not None


@pytest.mark.slow
def test_every_one_has_its_row_on_the_board(after):
    site = after[0] / "site"
    supervised = (site / "boards/digits-supervised.html").read_text()
    assert "even-tenth" in supervised and "hard-and-even" in supervised
    assert "small-simclr" in (site / "boards/digits-selfsup.html").read_text()
    queue = (site / "submissions.html").read_text()
    assert all(name in queue for name in NAMES)
    board = json.loads((site / "leaderboard.json").read_text())
    rows = {
        one["subset"]: one["fidelity"]
        for track in board["boards"]
        for one in track["subsets"]
        if track["track"]["name"] == "digits-supervised"
    }
    for name in ("digits/even-tenth", "digits/hard-and-even"):
        assert rows[name]["tau"] is not None
        assert rows[name]["null"]["count"] >= 3


@pytest.mark.slow
def test_the_hub_holds_the_verified_bytes_and_the_answers(after):
    folder, hub, repo = after
    workplace, tree = Workplace(folder), repo.find("main").tree
    for name in NAMES:
        for file in workplace.files(name).rglob("*"):
            if file.is_file():
                path = f"submissions/{name}/{file.relative_to(workplace.files(name)).as_posix()}"
                held = tree[path]
                content = hub.objects[held.sha256] if held.content is None else held.content
                assert content == file.read_bytes()
    assert {pull.status for pull in repo.pulls.values()} == {"closed"}
