"""A whole comparison: who is left out, the null of random subsets, the control, the verdict."""

import numpy as np
import pytest
from scipy import stats
from test_score import make_result, make_track

from lotterybench.errors import BadResults
from lotterybench.fidelities import Pilot
from lotterybench.manifests import load_subset_manifest
from lotterybench.paths import pilot_file, track_file
from lotterybench.results import results_file
from lotterybench.score import board
from lotterybench.trials import Cheaper

pytestmark = pytest.mark.slow

RANDOM = [f"digits/uniform-10pct-draw{draw:02d}@0" for draw in range(20)]
CHOSEN = ["digits/facility-location-10pct@0", "digits/herding-10pct@0"]  # of even classes
CONTROL = Cheaper(arm="control", amount=1 / 3)


def write_arm(folder, track, values, ref=None, arm=None, seen=100):
    """Write one arm's results from scores (configurations, seeds); nan is a crash."""
    subset = load_subset_manifest(ref)[0] if ref else None
    lines = []
    for entry, row in zip(track.configurations, values, strict=True):
        for seed, value in enumerate(row):
            status = "ok" if np.isfinite(value) else "crash"
            made = make_result(track, entry, seed, float(value), ref, status=status, seen=seen)
            if arm:
                config = arm.applied(entry.config)
                changes = {"arm": arm.arm, "amount": arm.amount, "config": config}
                made = made.model_copy(update=changes)
            lines.append(f"{made.line()}\n")
    results_file(folder, subset, arm).write_text("".join(lines))


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """48 configurations of 12 families; a good and a poor subset, 20 random ones, a control."""
    rng = np.random.default_rng(1)
    folder = tmp_path_factory.mktemp("case")
    track = make_track(families=12, each=4, seeds=6, subsets=[*CHOSEN, *RANDOM])
    track = track.model_copy(
        update={"cheaper": [CONTROL], "seeds": track.seeds.model_copy(update={"subset": 3})}
    )
    track_file(folder).write_bytes(track.pretty())
    truth = rng.normal(70, 10, 48)

    def seen(noise, seeds):
        own = truth + noise * rng.normal(size=48)
        return own[:, None] + 0.5 * rng.normal(size=(48, seeds))

    data = {None: seen(0, 6), CHOSEN[0]: seen(0.5, 3), CHOSEN[1]: seen(30, 3)}
    data |= {ref: seen(6, 3) for ref in RANDOM}
    for ref, values in data.items():
        write_arm(folder, track, values, ref, seen=10**7 if ref else 10**8)
    control = seen(8, 3)
    write_arm(folder, track, control, arm=CONTROL, seen=33 * 10**6)
    return folder, track, data, control


@pytest.fixture(scope="module")
def found(case):
    """What the case's subsets are judged to be, without a pilot."""
    return judged(case[0])


def judged(folder):
    return {
        f"{entry.subset}@{entry.subset_version}": entry.fidelity for entry in board(folder).subsets
    }


def tau(one, other):
    return stats.kendalltau(one.mean(1), other.mean(1)).statistic


def test_the_null_is_the_random_subsets_of_equal_size(case, found):
    data = case[2]
    other = found[CHOSEN[1]].null.p_t
    found = found[CHOSEN[0]]
    null = [tau(data[None], data[ref]) for ref in RANDOM]
    assert found.null.count == 20
    assert found.null.mean == pytest.approx(np.mean(null))
    assert (found.null.low, found.null.high) == pytest.approx((min(null), max(null)))
    own = tau(data[None], data[CHOSEN[0]])
    assert found.tau == pytest.approx(own)
    assert found.null.p == pytest.approx((1 + sum(t >= own for t in null)) / 21)
    z = np.arctanh(null)
    t = (np.arctanh(own) - z.mean()) / (z.std(ddof=1) * (1 + 1 / 20) ** 0.5)
    assert found.null.p_t == pytest.approx(stats.t.sf(t, 19))
    assert found.null.p_holm == pytest.approx(min(1, 2 * min(found.null.p_t, other)))


def test_a_random_subset_is_judged_against_the_others(found):
    null = found[RANDOM[0]].null
    assert null.count == 19
    assert null.p_holm is None  # Holm is over selected subsets


def test_the_control_is_compared_on_the_same_families(case, found):
    _, _, data, control = case
    found = found[CHOSEN[0]].control
    assert (found.arm, found.short) == ("control-0.333333", False)
    assert found.tau == pytest.approx(tau(data[None], control))
    own = tau(data[None], data[CHOSEN[0]])
    assert found.difference == pytest.approx(own - found.tau)
    assert found.interval.low < found.difference < found.interval.high


@pytest.mark.slow
def test_without_a_pilot_there_is_no_verdict_and_with_one_there_is(case, found):
    folder, track, *_ = case
    assert {one.verdict for one in found.values()} == {"descriptive"}
    assert "no pilot has estimated q and the power" in found[CHOSEN[0]].why
    pilot = Pilot(
        schema_version=1, track=track.name, track_digest=track.digest(), configurations=["c0-0"],
        seeds=3, subset=RANDOM[0], q_full=0.05, q_subset=0.06, tau_control=0.6, power=0.95,
        ticket=0.9,
    )  # fmt: skip
    pilot_file(folder).write_bytes(pilot.pretty())
    try:
        after = judged(folder)
        assert after[CHOSEN[0]].verdict == "ticket"
        assert after[CHOSEN[1]].verdict == "refuted"
        pilot_file(folder).write_bytes(pilot.model_copy(update={"track_digest": "1" * 64}).pretty())
        with pytest.raises(BadResults, match="is of another made-up; run its pilot again"):
            board(folder)
    finally:
        pilot_file(folder).unlink()


@pytest.mark.slow
def test_a_board_whose_subsets_differ_is_ranked(case):
    """One subset is far worse than all others: both split halves see it."""
    folder, *_ = case
    ranked = board(folder).ranked
    assert ranked.seeds > 0.9
    assert ranked.families > 0.6
    assert ranked.holds == (ranked.families >= 0.7)


def test_families_that_recorded_the_signals_are_left_out(tmp_path):
    rng = np.random.default_rng(0)
    track = make_track(families=7, each=2, seeds=2, subsets=[CHOSEN[0]])
    entries = [
        entry.model_copy(update={"family": "supervised/resnet"} if i < 2 else {})
        for i, entry in enumerate(track.configurations)
    ]
    track = track.model_copy(update={"configurations": entries})
    track_file(tmp_path).write_bytes(track.pretty())
    values = rng.normal(70, 10, (14, 1)) + rng.normal(size=(14, 2))
    write_arm(tmp_path, track, values)
    write_arm(tmp_path, track, values, CHOSEN[0])
    found = judged(tmp_path)[CHOSEN[0]]
    assert found.configurations == 12
    why = "family supervised/resnet recorded the signals that chose the subset (protocol §6)"
    assert found.left_out == {"c0-0": why, "c0-1": why}
    assert found.tau == pytest.approx(1)


def test_five_of_six_seeds_are_enough(tmp_path):
    rng = np.random.default_rng(0)
    track = make_track(families=6, each=2, seeds=6, subsets=[CHOSEN[0]])
    track_file(tmp_path).write_bytes(track.pretty())
    values = rng.normal(70, 10, (12, 1)) + rng.normal(size=(12, 6))
    full = values.copy()
    full[0, 0] = np.nan
    full[1, :2] = np.nan
    write_arm(tmp_path, track, full)
    there = values.copy()
    there[5, 2] = np.nan
    write_arm(tmp_path, track, there, CHOSEN[0])
    found = judged(tmp_path)[CHOSEN[0]]
    assert found.configurations == 11
    why = "failed on full data (4 of 6 seeds ended well) (protocol §1)"
    assert found.left_out == {"c0-1": why}
    assert found.failures == 1
    kept = [0, *range(2, 12)]
    means = np.nanmean(full[kept], axis=1), there[kept].mean(axis=1)
    means[1][kept.index(5)] = -np.inf
    assert found.tau == pytest.approx(stats.kendalltau(*means).statistic)
    assert found.without_failures > found.tau


def test_trends_follow_declared_axes(tmp_path):
    rng = np.random.default_rng(0)
    track = make_track(families=12, each=3, seeds=3, subsets=[CHOSEN[0]])
    entries = [entry.model_copy(update={"axis": "lr"}) for entry in track.configurations]
    track = track.model_copy(update={"configurations": entries})
    track_file(tmp_path).write_bytes(track.pretty())
    rate = np.tile([0.0, 10.0, 5.0], 12)[:, None]
    full = 60 + rate + rng.normal(size=(36, 3)) / 10
    write_arm(tmp_path, track, full)
    write_arm(tmp_path, track, 50 - rate + rng.normal(size=(36, 3)) / 10, CHOSEN[0])
    trend = judged(tmp_path)[CHOSEN[0]].trend
    assert (trend.same, trend.opposite, trend.unresolved) == (0, 24, 0)
    assert trend.headline == -1
    assert trend.lost == pytest.approx(10, abs=0.3)
    assert judged(tmp_path)[CHOSEN[0]].pairs.agreement < 0.3
