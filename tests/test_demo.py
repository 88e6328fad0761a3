"""The demonstration, from nothing to a page, twice."""

import json
import subprocess
import sys

import pytest

from lotterybench.tracks import track

CODE = "import sys; from lotterybench.cli import main; sys.argv[0] = 'lotterybench'; main()"


def demo(folder):
    done = subprocess.run(
        [sys.executable, "-c", CODE, "demo", "--out", "demo"],
        cwd=folder, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_demo_from_nothing_and_again(tmp_path):
    shown = demo(tmp_path)
    page = tmp_path / "demo/site/index.html"
    assert shown.rstrip().endswith(f"Open {page}")
    board = json.loads((tmp_path / "demo/site/leaderboard.json").read_text())["boards"][0]
    assert len(board["subsets"]) >= 6
    assert len(board["track"]["configurations"]) >= 8
    assert board["track"]["seeds"] == {"full": 2, "subset": 2}
    for entry in board["subsets"]:
        assert -1 <= entry["fidelity"]["tau"] <= 1
    site = {p: p.read_bytes() for p in (tmp_path / "demo/site").rglob("*") if p.is_file()}
    shown = demo(tmp_path)
    assert "of them were there" in shown
    assert {p: p.read_bytes() for p in (tmp_path / "demo/site").rglob("*") if p.is_file()} == site


def test_the_demo_is_as_large_as_promised():
    entry = track["digits-supervised"]
    assert len(entry.subsets) >= 6
    assert len(entry.scored()) >= 8
    assert entry.seeds.full >= 2
    assert entry.seeds.subset >= 2
