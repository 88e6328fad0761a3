"""The report of an enumeration against scipy, one subset at a time."""

from itertools import combinations

import numpy as np
import pytest
import torch
from scipy import stats
from typer.testing import CliRunner

from lotterybench.cli import app
from lotterybench.errors import BadResults
from lotterybench.kinds.exact import Exact, exact_file
from lotterybench.kinds.exact.files import write_exact
from lotterybench.manifests import find_base
from lotterybench.methods.base import stacked
from lotterybench.methods.base.flops import stacked_flops
from lotterybench.paths import track_file
from lotterybench.score import exact_report
from lotterybench.score.exact.classes import items, restricted
from lotterybench.score.exact.costs import cost_of
from lotterybench.tracks import track
from lotterybench.verification import verify

ENTRY = track["digits-exact"]
COUNT, EACH = 12, 3  # families, configurations of each


def bits(classes):
    return sum(1 << label for label in classes)


def made(truth, subsets, seeds, noise, rng):
    """Return results in which a subset's score is the truth and its own distortion and noise."""
    names = [f"c{i}" for i in range(COUNT * EACH)]
    families = [f"f/{i // EACH}" for i in range(COUNT * EACH)]
    total = np.full((len(subsets), len(names), seeds), 600)
    own = noise[:, None] * rng.normal(size=(len(subsets), len(names)))
    share = truth[None, :, None] + own[..., None] + 0.01 * rng.normal(size=total.shape)
    correct = np.round(np.clip(share, 0, 1) * total)
    about = {"track_digest": ENTRY.digest()}
    packed = np.array(subsets, np.uint16)
    return Exact(names, families, packed, correct.astype(np.uint16), total.astype(np.uint16), about)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """All pairs of classes; pairs with class 0 distort less."""
    place = tmp_path_factory.mktemp("results") / "digits-exact"
    place.mkdir()
    track_file(place).write_bytes(ENTRY.pretty())
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.6, 0.95, COUNT * EACH)
    pairs = sorted(combinations(range(10), 2), key=bits)
    noise = np.array([0.005 if 0 in pair else 0.2 for pair in pairs])
    full = made(truth, [bits(range(10))], 6, np.zeros(1), rng)
    two = made(truth, [bits(pair) for pair in pairs], 6, noise, rng)
    write_exact(exact_file(place, 10), full)
    write_exact(exact_file(place, 2), two)
    control = made(truth, [bits(range(10))], 6, np.full(1, 0.05), rng)
    write_exact(exact_file(place, 10, ENTRY.cheaper[0]), control)
    return place, full, two, pairs


@pytest.fixture(scope="module")
def report(folder):
    return exact_report(folder[0])


def test_every_subset_counts(folder, report):
    _, full, two, pairs = folder
    (found,) = report.counts
    x = full.correct[0].sum(1)  # all have the same totals
    tau = [stats.kendalltau(x, row.sum(1)).statistic for row in two.correct]
    assert (found.classes, found.subsets, found.configurations, found.families) == (2, 45, 36, 12)
    assert (found.seeds_full, found.seeds) == (6, 6)
    assert found.tau.value == pytest.approx(np.mean(tau))
    assert (found.lowest, found.highest) == pytest.approx((min(tau), max(tau)))
    assert (found.low, found.median, found.high) == pytest.approx(np.percentile(tau, [5, 50, 95]))
    assert found.above == np.mean(np.array(tau) >= 0.7)
    assert found.best.classes == [str(label) for label in pairs[int(np.argmax(tau))]]
    assert "0" in found.best.classes


def test_a_real_difference_between_subsets_survives_on_other_families(report):
    found = report.counts[0]
    assert found.reliability > 0.9
    assert found.reliable
    assert found.across_families > 0.5
    assert found.procedure.gain > 0.2
    assert found.procedure.gain_interval.low > 0


def test_the_command_prints_a_row_and_check_reads_it(folder):
    place = folder[0]
    shown = CliRunner().invoke(app, ["score", "digits-exact", "--results", str(place.parent)])
    assert shown.exit_code == 0
    assert "split-half (seeds)" in shown.stdout
    assert verify(place) == []


def test_what_is_missing_or_of_another_track_is_told(folder, tmp_path):
    _, full, two, _ = folder
    with pytest.raises(BadResults, match=r"holds no track\.json"):
        exact_report(tmp_path)
    track_file(tmp_path).write_bytes(ENTRY.pretty())
    with pytest.raises(BadResults, match=r"classes-10\.parquet is missing: the results on all"):
        exact_report(tmp_path)
    write_exact(exact_file(tmp_path, 10), full)
    write_exact(exact_file(tmp_path, 2), two._replace(about={"track_digest": "0" * 64}))
    with pytest.raises(BadResults, match=r"classes-2\.parquet is of another digits-exact"):
        exact_report(tmp_path)
    other = two._replace(configurations=[*two.configurations[:-1], "other"])
    write_exact(exact_file(tmp_path, 2), other)
    with pytest.raises(BadResults, match="another pool than full data"):
        exact_report(tmp_path)


def test_verdicts_and_bounds_hold_for_all_subsets_at_once(report):
    """Pairs with class 0 rank as full data do, the others hardly: both are told apart."""
    (found,) = report.counts
    assert found.faithful >= 1
    assert found.refuted >= 1
    assert found.faithful + found.refuted <= 45
    assert found.tickets <= found.faithful
    assert found.best.low < found.best.tau
    assert found.best.exists
    assert found.best.both <= min(found.best.above_mean, found.best.above_level) <= 9
    assert 1 <= found.best.contenders <= 9  # those with class 0
    assert found.procedure.percentile > 0.8
    assert found.procedure.in_sample > found.procedure.population
    assert found.retest > 0.3
    assert found.control.value == pytest.approx(0.85, abs=0.15)
    assert found.difference.value == pytest.approx(found.tau.value - found.control.value)


def test_of_subsets_that_do_not_differ_none_is_better(tmp_path):
    """The best of 45 equal subsets looks better than their mean, and is not called so."""
    place = tmp_path / "digits-exact"
    place.mkdir()
    track_file(place).write_bytes(ENTRY.pretty())
    rng = np.random.default_rng(8)
    truth = rng.uniform(0.6, 0.95, COUNT * EACH)
    pairs = [bits(pair) for pair in sorted(combinations(range(10), 2), key=bits)]
    write_exact(exact_file(place, 10), made(truth, [bits(range(10))], 6, np.zeros(1), rng))
    write_exact(exact_file(place, 2), made(truth, pairs, 6, np.full(45, 0.05), rng))
    (found,) = exact_report(place).counts
    assert found.highest > found.tau.value + 0.05
    assert not found.best.exists
    assert found.best.above_mean <= 1
    assert found.best.contenders > 15
    assert abs(found.procedure.percentile - 0.5) < 0.25
    assert found.faithful is None  # no control was run
    assert found.evaluation is None


@pytest.mark.slow  # the counter takes seconds to import
def test_costs_are_what_torch_counts():
    from torch.utils.flop_counter import FlopCounterMode

    for name, network in stacked.BACKBONES.items():
        for width, classes, side in ((None, 10, 8), (None, 5, 8), (8, 10, 4)):
            weights = stacked.stack([stacked.initial(network, classes, 0, width, side)])
            with torch.no_grad(), FlopCounterMode(display=False) as counted:
                network.logits(weights, torch.zeros(1, 1, side**2))
            assert stacked_flops(name, width, classes, side) == counted.get_total_flops()


def test_cheaper_arms_cost_less():
    base = find_base(ENTRY.base)[0]
    costs = {str(arm): cost_of(ENTRY, base, 10, arm) for arm in ENTRY.cheaper}
    assert cost_of(ENTRY, base, 10) == 1
    for classes in range(2, 10):
        assert costs[f"control-{classes / 10:g}"] == pytest.approx(classes / 10, abs=0.01)
        assert cost_of(ENTRY, base, classes) == pytest.approx(classes / 10, abs=0.02)
    assert 0.2 < costs["low-resolution-4"] < 0.3
    assert 0.25 < costs["narrower-0.5"] < 0.5
    assert costs["narrower-0.25"] < costs["narrower-0.5"]


def test_evaluation_on_fewer_classes_is_that_of_models_trained_on_all():
    """Bits of outranking classes against logits."""
    rng = np.random.default_rng(3)
    labels = rng.integers(4, size=60)
    logits = rng.normal(size=(5, 4, 60, 4)) + 2 * np.eye(4)[labels]
    true = np.take_along_axis(logits, labels[None, None, :, None], -1)
    bits_above = ((logits > true) << np.arange(4)).sum(-1).astype(np.uint16)
    empty = np.zeros((1, 5, 12), np.uint16)
    names = [f"c{i}" for i in range(5)]
    full = Exact(names, names, np.array([15], np.uint16), empty, empty, {}, bits_above, labels)
    for subset in (0b0011, 0b1110, 0b1111):
        kept = [c for c in range(4) if subset >> c & 1]
        inside = np.isin(labels, kept)
        named = np.array(kept)[logits[..., inside, :][..., kept].argmax(-1)]
        assert restricted(full, subset) == pytest.approx((named == labels[inside]).mean(-1))
    assert items(full) == pytest.approx((logits.argmax(-1) == labels).mean(1))


def test_the_frontier_has_every_way_to_save(report):
    found = report.frontier
    kinds = {(point.kind, point.name) for point in found.points}
    assert kinds == {("random", "2 classes"), ("control", "control-0.2")}
    for point in found.points:
        assert point.cost == pytest.approx(0.2, abs=0.02)
        assert point.tau.interval.low < point.tau.value < point.tau.interval.high
    assert {choice.scheme for choice in found.choices} == {"best", "three"}
    best, three = (
        next(c for c in found.choices if c.scheme == scheme and c.kind == "control")
        for scheme in ("best", "three")
    )
    assert three.spend == pytest.approx(best.spend + 3)
    assert best.spend == pytest.approx(0.2 * 36, rel=0.1)
    assert three.lost.value <= best.lost.value + 0.2
