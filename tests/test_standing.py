"""Submitted methods beside a board: where they would stand, and that nothing else changes."""

import numpy as np
import pytest
import site_boards as make
from test_leaderboard import Reading

from lotterybench.errors import BadResults
from lotterybench.fidelities import Score
from lotterybench.leaderboard import pages
from lotterybench.leaderboard.charts import rank_spans
from lotterybench.results import append
from lotterybench.submissions.referee.records import Rerun
from lotterybench.submissions.referee.standing import (
    candidates_folder,
    measured,
    place_among,
    standings,
    t_bounds,
)
from lotterybench.trials import Cost, Result

ZERO = "0" * 64


def board(scores=5):
    """A board whose configurations lie 10 points apart, each with two seeds 1 point apart."""
    found, _, _ = make.crowd(4)
    one = found[0]
    full = [
        Score(
            configuration=entry.name, family=entry.family, anchor=entry.name in one.track.anchors,
            mean=10.0 * at + 0.5, scores=[10.0 * at, 10.0 * at + 1],
        )
        for at, entry in enumerate(one.track.configurations[: scores + 1], 1)
    ]  # fmt: skip
    track = one.track.model_copy(update={"configurations": one.track.configurations[: scores + 1]})
    return one.model_copy(update={"track": track, "track_digest": track.digest(), "full": full})


def line(track, name, seed, value, subset=None, **changes):
    record = {
        "schema_version": 1, "track": track.name, "track_version": track.version,
        "track_digest": track.digest(), "arm": "subset" if subset else "full", "scope": "full",
        "base_digest": ZERO, "data_digest": ZERO, "configuration": name, "method": "submission",
        "family": f"submission/{name}", "config": {"labels": True, "width": 2}, "epochs": 1,
        "seed": seed, "status": "ok" if value is not None else "oom",
        "metrics": {} if value is None else {track.metric: value},
        "cost": Cost(images_seen=1, device="cpu"), "software": {}, "code_digest": ZERO,
        "origin": f"submission:{name}", "isolation": "rerun-sandboxed", **changes,
    }  # fmt: skip
    if subset:
        record |= {"subset": subset, "subset_version": 1, "subset_digest": ZERO}
    return Result.model_validate(record)


def write(folder, track, name, values, subset=None, **changes):
    file = f"{subset.partition('/')[2]}-v1.jsonl" if subset else "full.jsonl"
    place = candidates_folder(folder) / name / file
    place.parent.mkdir(parents=True, exist_ok=True)
    for seed, value in enumerate(values):
        made = line(track, name, seed, value, subset, **changes)
        append(place, made, 1.0, place.with_suffix(".timings"))


def recorded(folder, name, state, **changes):
    rerun = Rerun(
        schema_version=1, name=name, digest=ZERO, state=state, code_digest=ZERO, **changes
    )
    file = folder.parent / "submissions" / name / "rerun.json"
    file.parent.mkdir(parents=True)
    file.write_bytes(rerun.pretty())


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "results" / "blobs"


def test_a_candidate_has_the_ranks_that_an_entry_would_have(folder):
    """Oracle: the board's own rule, with the candidate as one of its entries."""
    one = board()
    rng = np.random.default_rng(0)
    for number in range(20):
        values = sorted(rng.uniform(0, 70, 2))
        name = f"mine-{number}"
        write(folder, one.track, name, values)
        mine = Score(configuration=name, family="x", mean=float(np.mean(values)), scores=values)
        expected = rank_spans([*one.full, mine])[name]
        assert place_among([s for s in one.full if not s.anchor], mine) == expected
        found = {each.name: each for each in standings(folder, one)}[name]
        assert found.ranks == expected and found.of == len(one.track.scored()) + 1


def test_what_is_told_of_a_candidate(folder):
    one = board()
    write(folder, one.track, "mine", [35.0, 37.0])
    write(folder, one.track, "mine", [20.0], "blobs/uniform-00")
    recorded(folder, "mine", "verified")
    (found,) = standings(folder, one)
    assert (found.state, found.isolation, found.ranks) == ("verified", "rerun-sandboxed", (4, 4))
    assert found.full.score.mean == 36.0 and found.full.subset is None
    # Student's t at 0.95 with one degree of freedom is 6.3138.
    assert found.full.bounds == pytest.approx((36 - 6.3138, 36 + 6.3138), abs=1e-3)
    assert [(arm.subset, arm.score.mean, arm.bounds) for arm in found.subsets] == [
        ("blobs/uniform-00@1", 20.0, None)
    ]
    claims = measured("mine", folder, one.track)
    assert (
        claims[one.track.name, None].value == 36.0 and claims[one.track.name, None].n == "2 seeds"
    )
    assert claims[one.track.name, "blobs/uniform-00@1"].n == "1 seed"
    assert measured("nobody", folder, one.track) == {}


def test_t_bounds_hold_the_mean_as_often_as_they_say():
    """A simulation: each bound is missed by 5 % of 4,000 samples, ± 3 standard errors."""
    rng = np.random.default_rng(1)
    found = np.array([t_bounds(sample) for sample in rng.normal(3, 2, (4000, 4)).tolist()])
    for missed in ((found[:, 0] > 3).mean(), (found[:, 1] < 3).mean()):
        assert abs(missed - 0.05) < 3 * (0.05 * 0.95 / 4000) ** 0.5
    assert t_bounds([1.0]) is None and t_bounds([]) is None


def test_who_failed_has_no_rank(folder):
    one = board()
    write(folder, one.track, "mine", [35.0, None])
    (found,) = standings(folder, one)
    assert (found.ranks, found.full.score.mean, found.full.score.failures) == (None, None, 1)


def test_there_are_no_ranks_while_full_data_is_missing(folder):
    one = board().model_copy(update={"missing_full": 1})
    write(folder, one.track, "mine", [35.0, 36.0])
    assert standings(folder, one)[0].ranks is None


@pytest.mark.parametrize("gone", [{"withdrawn": "a slip"}, {"superseded_by": "newer"}])
def test_who_is_withdrawn_or_superseded_is_left_out(folder, gone):
    one = board()
    write(folder, one.track, "mine", [35.0])
    recorded(folder, "mine", "withdrawn" if "withdrawn" in gone else "verified", **gone)
    assert standings(folder, one) == []
    assert (candidates_folder(folder) / "mine/full.jsonl").is_file()


@pytest.mark.parametrize("change", [{"track_digest": "1" * 64}, {"method": "simclr"}])
def test_other_lines_are_refused(folder, change):
    one = board()
    write(folder, one.track, "mine", [35.0], **change)
    with pytest.raises(BadResults, match=r"full.jsonl line 1 is of no candidate"):
        standings(folder, one)


def test_a_board_shows_candidates_and_changes_nothing_else(folder):
    _, subsets, bases = make.crowd(4)
    one = board().model_copy(update={"subsets": []})
    site = [one], subsets, bases
    write(folder, one.track, "mine", [35.0, 37.0])
    write(folder, one.track, "mine", [20.0, None], "blobs/uniform-00")
    write(folder, one.track, "better", [55.0])
    recorded(folder, "mine", "verified")
    before = pages(*site)
    assert pages(*site, candidates={one.track.name: []}) == before
    after = pages(*site, candidates={one.track.name: standings(folder, one)})
    path = f"boards/{one.track.name}.html"
    assert {name for name in after if after[name] != before[name]} == {path}
    text = after[path].decode()
    Reading(text)
    table = text[text.index('id="candidates"') :]
    assert table.index("better") < table.index("mine")
    for words in (
        "36.00", "± 1.41", "29.69 – 42.31", "uniform-00@1 1 of 2 failed", "labels used",
        "width 2", "sandbox", "verified", "one of 7 on full data",
    ):  # fmt: skip
        assert words in table, words
    assert 'id="candidates"' not in before[path].decode()
