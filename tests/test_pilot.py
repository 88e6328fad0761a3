"""The pilot: which runs it takes, what it says of q and power, and what it refuses."""

import numpy as np
import pytest
from scipy import stats
from test_judging import CHOSEN, CONTROL, RANDOM, write_arm
from test_score import make_track
from typer.testing import CliRunner

from lotterybench import pilot as piloting
from lotterybench.cli import app
from lotterybench.errors import BadRequest
from lotterybench.fidelities import Pilot
from lotterybench.paths import pilot_file, track_file
from lotterybench.pilot import pilot_of, random_subset, run_pilot, spread_over_families
from lotterybench.score import board

PRIMARY = "digits/uniform-25pct@1"
TRACK = make_track(families=12, each=3, seeds=6, subsets=[CHOSEN[0], RANDOM[3], PRIMARY])
TRACK = TRACK.model_copy(update={"cheaper": [CONTROL], "primary": "25pct"})


def test_configurations_are_spread_over_families():
    found = spread_over_families(TRACK.scored(), 8)
    assert [entry.name for entry in found] == [f"c{f}-0" for f in (0, 1, 3, 4, 6, 7, 9, 10)]
    few = make_track(families=3, each=4).scored()
    assert [e.name for e in spread_over_families(few, 8)] == [
        "c0-0", "c1-0", "c2-0", "c0-1", "c1-1", "c2-1", "c0-2", "c1-2",
    ]  # fmt: skip


def test_the_random_subset_is_that_of_the_primary_budget():
    assert random_subset(TRACK).ref == PRIMARY
    assert random_subset(TRACK.model_copy(update={"primary": None})).ref == RANDOM[3]
    with pytest.raises(BadRequest, match="made-up has no random subset; a pilot needs one"):
        random_subset(TRACK.model_copy(update={"subsets": [CHOSEN[0]]}))


@pytest.fixture
def ran(monkeypatch):
    """Stand in for the trainings: write scores of known spread for what would be run."""
    asked = {}

    def run_track(track, out, **options):
        asked.update(options)
        folder = out / track.name
        folder.mkdir(parents=True)
        track_file(folder).write_bytes(track.pretty())
        few = track.model_copy(
            update={
                "configurations": [e for e in track.configurations if e.name in options["only"]]
            }
        )
        rng = np.random.default_rng(0)
        truth = rng.normal(70, 10, 8)
        arms = {"full": (None, None), "there": (options["subsets"][0], None)}
        arms["control"] = (None, options["cheaper"][0])
        asked["scores"] = {}
        for name, (ref, arm) in arms.items():
            noise = 1 if name == "full" else 2
            asked["scores"][name] = truth[:, None] + noise * rng.normal(size=(8, 3))
            # results carry the digest of the whole track
            write_arm(folder, track, _whole(track, few, asked["scores"][name]), ref, arm)

    monkeypatch.setattr(piloting, "run_track", run_track)
    return asked


def _whole(track, few, scores):
    """Scores of all configurations: those of others fail."""
    rows = {entry.name: row for entry, row in zip(few.configurations, scores, strict=True)}
    return [rows.get(entry.name, [np.nan] * 3) for entry in track.configurations]


def test_a_pilot_says_what_the_runs_say_and_is_read_by_the_board(ran, tmp_path):
    found = run_pilot(TRACK, tmp_path)
    assert (ran["seeds"], ran["subsets"], len(ran["only"])) == (3, [PRIMARY], 8)
    full, there, control = (ran["scores"][name] for name in ("full", "there", "control"))

    def q(scores):
        noise = scores.var(axis=1, ddof=1).mean()
        return (noise / (scores.mean(1).var(ddof=1) - noise / 3)) ** 0.5

    assert found.q_full == pytest.approx(q(full))
    assert found.q_subset == pytest.approx(q(there))
    tau = stats.kendalltau(full.mean(1), control.mean(1)).statistic
    assert found.tau_control == pytest.approx(tau)
    assert 0 <= found.ticket <= found.power <= 1
    file = pilot_file(tmp_path / TRACK.name)
    assert Pilot.read(file.read_bytes(), "x") == found
    assert board(tmp_path / TRACK.name).pilot == found


def test_methods_that_do_not_differ_are_told(ran, tmp_path):
    run_pilot(TRACK, tmp_path)
    folder = tmp_path / TRACK.name
    chosen = spread_over_families(TRACK.scored(), 8)
    same = np.tile([70.0, 71.0, 72.0], (36, 1))
    write_arm(folder, TRACK, same)
    with pytest.raises(BadRequest, match="do not differ beyond their seeds"):
        pilot_of(TRACK, folder, chosen, random_subset(TRACK), None)


def test_the_command_takes_no_other_choice():
    asked = ["run", "digits-supervised", "--pilot", "--seeds", "2"]
    found = CliRunner().invoke(app, asked)
    assert isinstance(found.exception, BadRequest)
    assert "--pilot chooses its own runs" in str(found.exception)
