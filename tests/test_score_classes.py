"""What test items add to a board: item ceiling, evaluation-only, disjoint targets, decomposition.

Logits are made up, so that every accuracy can be had by argmax over the classes in question.
"""

import json
import shutil

import numpy as np
import pytest
from scipy import stats
from test_score import make_result, make_track
from typer.testing import CliRunner

from lotterybench.cli import app
from lotterybench.errors import BadResults
from lotterybench.fidelities import Pilot
from lotterybench.items import join, keep, none_of, packed
from lotterybench.manifests import find_base, load_keyring, load_subset_manifest
from lotterybench.paths import items_file, pilot_file, track_file
from lotterybench.ranking import family_interval, item_ceiling, kendall_tau
from lotterybench.ranking.base.arrays import halves
from lotterybench.ranking.crossed import crossed_interval, crossed_tau
from lotterybench.results import results_file
from lotterybench.score import board
from lotterybench.score.cost import cost_ratio
from lotterybench.score.fidelity import BOOTSTRAP_SEED
from lotterybench.score.pool import Scored
from lotterybench.trials import WITHIN, Cheaper, Cost, Seeds

SAMPLES = "digits/uniform-10pct@1"
CLASSES = "digits/every-2nd-class@1"
RANDOM = "digits/uniform-5-classes@1"
CONTROL = Cheaper(arm="control", amount=0.99)
FULL_SEEDS, SEEDS = 6, 3
LABELS = load_keyring("digits").labels["test"].astype(np.int64)
BASE = find_base("digits")[0]
SUBSET = load_subset_manifest(CLASSES)[0]
AMONG = sorted(BASE.class_indices(SUBSET.classes))
REST = [name for name in range(10) if name not in AMONG]


def accuracy(logits, among):
    """Return the per cent of the test images of some classes that argmax over these names."""
    there = np.isin(LABELS, among)
    named = np.array(among)[logits[there][:, among].argmax(1)]
    return 100 * (named == LABELS[there]).mean()


def bits(logits):
    own = logits[np.arange(len(LABELS)), LABELS][:, None]
    lower = np.arange(10) < LABELS[:, None]
    return packed((logits > own) | ((logits == own) & lower))


def save(folder, track, values, ref=None, arm=None, within=None):
    """Write one arm's results from scores (configurations, seeds)."""
    subset = load_subset_manifest(ref)[0] if ref else None
    first = make_result(track, track.configurations[0], 0, 0.0, ref, seen=50 if ref or arm else 100)
    shared = {"arm": arm.arm, "amount": arm.amount} if arm else {}
    if subset and subset.classes and track.probe == "classifier":
        shared["scope"] = "subset"
    lines = []
    for place, (entry, row) in enumerate(zip(track.configurations, values, strict=True)):
        shared |= {
            "configuration": entry.name, "family": entry.family,
            "config": arm.applied(entry.config) if arm else entry.config,
        }  # fmt: skip
        for seed, value in enumerate(row):
            metrics = {track.metric: float(value)}
            if within is not None:
                metrics[WITHIN] = float(within[place, seed])
            changes = {**shared, "seed": seed, "metrics": metrics}
            lines.append(first.model_copy(update=changes))
    file = results_file(folder, subset, arm)
    file.write_text("".join(f"{line.line()}\n" for line in lines))
    return lines


@pytest.fixture(scope="module")
def made():
    """Logits (12, 6, T, 10) of full-trained models, and the scores of three subsets."""
    rng = np.random.default_rng(3)
    skill = rng.uniform(0.8, 2.5, (12, 1, 10)) + 0.1 * rng.normal(size=(12, FULL_SEEDS, 10))
    logits = np.round(rng.normal(size=(12, FULL_SEEDS, len(LABELS), 10)), 1)
    logits[..., np.arange(len(LABELS)), LABELS] += skill[..., LABELS]
    truth = np.array([[accuracy(one, range(10)) for one in runs] for runs in logits]).mean(1)
    there = {
        ref: truth[:, None] + noise * rng.normal(size=(12, 1)) + rng.normal(size=(12, SEEDS))
        for ref, noise in ((SAMPLES, 1), (CLASSES, 3), (RANDOM, 6))
    }
    return logits, there


def write(folder, made, track=None, within=None):
    logits, there = made
    track = track or make_track(
        seeds=FULL_SEEDS, subsets=list(there), cheaper=[CONTROL],
    ).model_copy(update={"seeds": Seeds(full=FULL_SEEDS, subset=SEEDS)})  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    track_file(folder).write_bytes(track.pretty())
    full = np.array([[accuracy(one, range(10)) for one in runs] for runs in logits])
    runs = save(folder, track, full)
    for ref, values in there.items():
        save(folder, track, values, ref, within=within if ref == CLASSES else None)
    save(folder, track, full[:, :SEEDS][:, ::-1] + 1, arm=CONTROL)
    for run, one in zip(runs, logits.reshape(-1, len(LABELS), 10), strict=True):
        keep(folder, run.key, bits(one))
    join(folder, track, runs)
    return track, full, runs


@pytest.fixture(scope="module")
def case(made, tmp_path_factory):
    folder = tmp_path_factory.mktemp("results") / "made-up"
    return folder, *write(folder, made)


@pytest.fixture(scope="module")
def found(case):
    return judged(case[0])


def judged(folder):
    return {f"{one.subset}@{one.subset_version}": one.fidelity for one in board(folder).subsets}


def test_bits_of_the_oracle_are_argmax(made):
    one = made[0][0, 0]
    for among in (AMONG, REST, list(range(10))):
        there = np.isin(LABELS, among)
        right = none_of(bits(one)[there], among, 10)
        assert 100 * right.mean() == pytest.approx(accuracy(one, among))


def restricted(logits, among):
    return np.array([[accuracy(one, among) for one in runs] for runs in logits])


def test_evaluation_only_takes_halves_of_the_seeds(made, case, found):
    only, full = restricted(made[0], AMONG), case[2]
    taus = [
        stats.kendalltau(full[:, one].mean(1).round(9), only[:, other].mean(1).round(9)).statistic
        for a, b in halves(FULL_SEEDS)
        for one, other in ((a, b), (b, a))
    ]
    assert len(taus) == 20
    row = found[CLASSES].classes.evaluation_only
    assert row.value == pytest.approx(np.mean(taus))
    assert row.interval.low < row.value < row.interval.high
    assert row.interval.resampled == "families"


def test_the_disjoint_target_is_of_the_other_classes(made, found):
    target, y = restricted(made[0], REST).mean(1).round(9), made[1][CLASSES].mean(1).round(9)
    row = found[CLASSES].classes.disjoint
    assert row.value == pytest.approx(stats.kendalltau(target, y).statistic)
    groups = np.repeat(np.arange(6), 2)
    want = family_interval(target, y, groups, np.random.default_rng(BOOTSTRAP_SEED))
    assert (row.interval.low, row.interval.high) == pytest.approx(want)
    assert found[CLASSES].classes.remaining == 5


def test_item_ceilings_are_of_the_arms_test_size(made, case, found):
    right = np.array(
        [[one.argmax(1) == LABELS for one in runs] for runs in made[0]], dtype=float
    ).mean(1)

    def ceiling(size):
        return item_ceiling(right, np.random.default_rng(BOOTSTRAP_SEED), size=size)

    few = int(np.isin(LABELS, AMONG).sum())
    assert found[SAMPLES].item_ceiling == pytest.approx(ceiling(len(LABELS)))
    assert found[CLASSES].item_ceiling == pytest.approx(ceiling(few))
    assert found[CLASSES].item_ceiling < found[SAMPLES].item_ceiling < 1


def test_the_decomposition_of_classifiers(found):
    cells = found[CLASSES].decomposition
    assert cells.full_full == found[CLASSES].ceiling
    assert cells.full_subset == found[CLASSES].classes.evaluation_only.value
    assert cells.subset_subset == found[CLASSES].tau
    assert cells.subset_full is None
    cells = found[SAMPLES].decomposition
    assert found[SAMPLES].classes is None
    assert (cells.full_full, cells.subset_full) == (found[SAMPLES].ceiling, found[SAMPLES].tau)
    assert cells.full_subset is cells.subset_subset is None


@pytest.mark.slow
def test_the_decomposition_of_encoders(made, tmp_path):
    """A frozen encoder is tested on everything; its subset's own classes are a metric."""
    track = make_track(
        seeds=FULL_SEEDS, subsets=list(made[1]), probe="frozen", metric="knn", cheaper=[CONTROL]
    ).model_copy(update={"seeds": Seeds(full=FULL_SEEDS, subset=SEEDS)})
    within = np.random.default_rng(0).normal(size=(12, SEEDS))
    _, full, _ = write(tmp_path, made, track, within)
    found = judged(tmp_path)
    cells = found[CLASSES].decomposition
    assert cells.subset_full == found[CLASSES].tau
    want = stats.kendalltau(full.mean(1).round(9), within.mean(1).round(9)).statistic
    assert cells.subset_subset == pytest.approx(want)
    assert found[RANDOM].decomposition.subset_subset is None  # results that came before
    assert found[CLASSES].item_ceiling == found[SAMPLES].item_ceiling  # all images test all


def test_without_items_nothing_is_made_of_them(made, case, tmp_path, found):
    folder, track, _, runs = case
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    items_file(tmp_path).unlink()
    bare = judged(tmp_path)[CLASSES]
    assert bare.item_ceiling is bare.classes is bare.decomposition is None
    fewer = {"item_ceiling": None, "classes": None, "decomposition": None}
    assert bare == found[CLASSES].model_copy(update=fewer)
    for run, one in zip(runs[1:], made[0].reshape(-1, len(LABELS), 10)[1:], strict=True):
        keep(tmp_path, run.key, bits(one))
    join(tmp_path, track, runs)
    assert judged(tmp_path)[CLASSES] == bare  # one run of the pool has none


def test_items_of_other_runs_are_refused(made, case, tmp_path):
    folder, track, _, runs = case
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    keep(tmp_path, runs[7].key, bits(made[0][0, 0]))
    join(tmp_path, track, runs)
    with pytest.raises(BadResults, match=r"has c0-1, seed 1, right on .* % of the test images"):
        board(tmp_path)


def test_crossing_leaves_shared_noise_out():
    """One training's luck in two tests is no agreement of the tests."""
    rng = np.random.default_rng(0)
    luck = rng.normal(size=(40, 6))
    assert kendall_tau(luck.mean(1), luck.mean(1)) == 1
    assert abs(crossed_tau(luck, luck)) < 0.25
    groups = np.repeat(np.arange(10), 4)
    equal = np.repeat(rng.normal(size=(40, 1)), 6, axis=1)
    other = equal + np.repeat(rng.normal(size=(40, 1)), 6, axis=1)
    want = family_interval(equal[:, 0].round(9), other[:, 0].round(9), groups,
                           np.random.default_rng(1), draws=500)  # fmt: skip
    got = crossed_interval(equal, other, groups, np.random.default_rng(1), draws=500)
    assert got == pytest.approx(want)
    assert crossed_tau(luck[:, :1], luck[:, :1]) is None
    assert crossed_interval(luck, luck, groups // 2, np.random.default_rng(1)) is None


def test_crossing_takes_few_of_many_splits():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(20, 1))
    one, other = (truth + 0.3 * rng.normal(size=(20, 12)) for _ in range(2))
    every = [
        kendall_tau(one[:, a].mean(1), other[:, b].mean(1))
        for pair in halves(12)
        for a, b in (pair, pair[::-1])
    ]
    assert crossed_tau(one, other) == pytest.approx(np.mean(every), abs=0.03)


def test_cost_is_weighed_where_both_sides_can():
    track = make_track(families=2, each=1)

    def runs(seen, flops):
        return {
            entry.name: [
                make_result(track, entry, seed, 50.0).model_copy(
                    update={"cost": Cost(images_seen=seen, device="cpu", flops=count)}
                )
                for seed in range(2)
            ]
            for entry, count in zip(track.configurations, flops, strict=True)
        }

    pool = Scored(track.configurations, {})
    whole = runs(100, (2e6, 6e6))
    assert cost_ratio(pool, runs(100, (5e5, 1.5e6)), whole) == 0.25
    assert cost_ratio(pool, runs(50, (2e6, 6e6)), whole) == 0.5
    assert cost_ratio(pool, runs(100, (5e5, 3e6)), whole) == 3.5 / 8
    assert cost_ratio(pool, runs(100, (5e5, None)), whole) == 1
    assert cost_ratio(pool, runs(50, (5e5, 5e5)), runs(100, (None, None))) == 0.5
    failed = runs(100, (5e5, 3e6))
    failed["c0-0"] = [run.model_copy(update={"status": "oom"}) for run in failed["c0-0"]]
    assert cost_ratio(pool, failed, whole) == 0.5
    assert cost_ratio(Scored([], {}), whole, whole) == 0


def test_score_prints_every_figure(case):
    folder, track, *_ = case
    pilot = Pilot(
        schema_version=1, track=track.name, track_digest=track.digest(), configurations=["c0-0"],
        seeds=3, subset=RANDOM, q_full=0.05, q_subset=0.06, tau_control=0.6, power=0.95, ticket=0.9,
    )  # fmt: skip
    pilot_file(folder).write_bytes(pilot.pretty())
    try:
        done = CliRunner().invoke(
            app, ["score", str(track_file(folder)), "--results", str(folder.parent), "--json"]
        )
    finally:
        pilot_file(folder).unlink()
    assert done.exit_code == 0, done.output
    shown = {one["subset"]: one["fidelity"] for one in json.loads(done.output)["subsets"]}
    row = shown["digits/every-2nd-class"]
    figures = {
        "τ-b": row["tau"], "ρ": row["rho"], "repeat": row["ceiling"], "arm": row["arm_ceiling"],
        "item": row["item_ceiling"], "τ / arm ceiling": row["ratio"]["value"],
        "null p": row["null"]["p"], "control": row["control"]["difference"],
        "top half": row["top_half_tau"], "resolution": row["pairs"]["gap"],
        "regret": row["regret"]["lost"], "own regret": row["regret"]["own"],
        "cost": row["cost_ratio"], "evaluation only": row["classes"]["evaluation_only"]["value"],
        "disjoint": row["classes"]["disjoint"]["value"],
    }  # fmt: skip
    assert all(isinstance(value, float) for value in figures.values()), figures
    for bounds in (row["interval"], row["ratio"]["interval"], row["control"]["interval"],
                   row["classes"]["disjoint"]["interval"]):  # fmt: skip
        assert bounds["low"] < bounds["high"]
    assert set(row["decomposition"]) == {"full_full", "full_subset", "subset_subset"}
    assert row["verdict"] == "descriptive"
    assert "protocol" in row["why"] or "families" in row["why"]
