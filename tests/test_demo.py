"""The demonstration, from nothing to a page, twice."""

import json
import subprocess
import sys

import pytest

from lotterybench.demo import TRACK, in_words
from lotterybench.fidelities import Control, Fidelity, Interval, Null
from lotterybench.tracks import track

CODE = "import sys; from lotterybench.cli import main; sys.argv[0] = 'lotterybench'; main()"


def demo(folder):
    done = subprocess.run(
        [sys.executable, "-c", CODE, "demo", "--out", "demo"],
        cwd=folder, capture_output=True, text=True, check=False, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_demo_from_nothing_and_again(tmp_path):
    shown = demo(tmp_path)
    page = tmp_path / "demo/site/index.html"
    assert shown.rstrip().endswith(f"Open {page}")
    board = json.loads((tmp_path / "demo/site/leaderboard.json").read_text())["boards"][0]
    assert board["track"]["name"] == TRACK
    assert len(board["subsets"]) == len(track[TRACK].subsets)
    for entry in board["subsets"]:
        found = entry["fidelity"]
        assert found["interval"]["resampled"] == "families"
        assert found["interval"]["low"] < found["tau"] < found["interval"]["high"]
        assert found["null"]["count"] >= 20
        assert 1 / 21 <= found["null"]["p"] <= 1
        control = found["control"]
        assert control["interval"]["low"] <= control["difference"] <= control["interval"]["high"]
        assert f"{entry['subset']}: τ = {found['tau']:.2f}" in shown
    site = {p: p.read_bytes() for p in (tmp_path / "demo/site").rglob("*") if p.is_file()}
    again = demo(tmp_path)
    assert "900 runs, 900 of them were there" in again
    assert again.partition("\n\n")[2] == shown.partition("\n\n")[2]
    assert {p: p.read_bytes() for p in (tmp_path / "demo/site").rglob("*") if p.is_file()} == site


def test_the_demo_is_as_large_as_promised():
    entry = track[TRACK]
    assert len(entry.scored()) == 12
    assert len({one.family for one in entry.scored()}) == 6
    assert {one.config["backbone"] for one in entry.scored()} == {
        "linear", "mlp", "deep-mlp", "conv", "mixer", "attention",
    }  # fmt: skip
    assert entry.null >= 20
    assert [str(arm) for arm in entry.cheaper] == ["control-0.25"]


FOUND = Fidelity(
    track="t", track_version=1, track_digest="0" * 64, subset="digits/some", subset_version=1,
    subset_digest="0" * 64, scope="full", metric="accuracy", configurations=12, families=6,
    seeds_full=6, seeds_subset=3, tau=0.734, cost_ratio=0.25, verdict="descriptive", why="small",
)  # fmt: skip


def test_the_words_say_what_the_figures_say():
    whole = FOUND.model_copy(
        update={
            "interval": Interval(low=0.5, high=0.9, resampled="families"),
            "null": Null(count=20, low=0.41, mean=0.6, high=0.81, p=0.238),
            "control": Control(
                arm="control-0.25", amount=0.25, tau=0.8, difference=-0.066,
                interval=Interval(low=-0.2, high=0.1, resampled="families"),
            ),
        }
    )  # fmt: skip
    _, head, interval, null, control = in_words([whole])
    assert head == "\ndigits/some: τ = 0.73"
    assert "between 0.50 and 0.90 (90 % interval, 6 families)" in interval
    assert "20 random subsets of the same size: 0.41 to 0.81, mean 0.60. p = 0.24" in null
    assert "for 25% of the steps" in control
    assert "τ = 0.80. The subset's τ less this: -0.07 (-0.20 to +0.10)" in control


def test_the_words_leave_out_what_is_not_there():
    assert list(in_words([FOUND]))[1:] == ["\ndigits/some: τ = 0.73"]
    undefined = FOUND.model_copy(update={"tau": None, "null": Null(count=1)})
    assert list(in_words([undefined]))[1] == "\ndigits/some: τ = undefined"
    assert "undefined to undefined" in list(in_words([undefined]))[2]
