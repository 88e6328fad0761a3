"""Random subsets by rule, on disk and on the board; selectors as procedures; costs."""

import json
import shutil
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats
from test_judging import write_arm
from test_score import make_track

from lotterybench.build import build_subset, save_subset
from lotterybench.errors import BadRequest, BadResults
from lotterybench.manifests import find_manifest, load_keyring, load_subset_manifest, subsets
from lotterybench.nulls import (
    draws,
    planned,
    primary_stratum,
    random_beside,
    random_subsets,
    seed_of,
    stored,
    stratum,
    uneven_counts,
)
from lotterybench.paths import null_folder, track_file
from lotterybench.ranking.null import uneven
from lotterybench.ranking.resampling import paired_difference, pairwise_differences
from lotterybench.records import Budget
from lotterybench.run import plan, run_track
from lotterybench.score import board
from lotterybench.score.arms import Found
from lotterybench.score.pool import by_configuration
from lotterybench.score.ranked import ranked
from lotterybench.score.selectors import label, selectors
from lotterybench.score.spending import break_even, selection_cost
from lotterybench.selection import Pool, selector
from lotterybench.tracks import find_track

UNEVEN = "digits/el2n-easy-10pct@0"
EVEN = "digits/facility-location-10pct@0"
CLASSES = "digits/uniform-5-classes@1"


def a_track(null=2, of=(UNEVEN, EVEN, CLASSES), **changes):
    return make_track(families=6, each=2, seeds=2, subsets=list(of), null=null, **changes)


def contents(folder):
    return {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in folder.rglob("v*")}


def test_each_size_has_its_random_subsets_and_uneven_classes_theirs(tmp_path):
    files = random_subsets(a_track(), tmp_path)
    assert [str(file.relative_to(tmp_path / "null" / "digits")) for file in files] == [
        "uniform-10pct-null-00/v1.json", "uniform-10pct-null-01/v1.json",
        "uniform-5-classes-null-00/v1.json", "uniform-5-classes-null-01/v1.json",
        "el2n-easy-10pct-matched-00/v0.json", "el2n-easy-10pct-matched-01/v0.json",
    ]  # fmt: skip
    made = [load_subset_manifest(file) for file in files]
    assert [one.selector for one, _ in made[::2]] == [
        "uniform", "uniform-classes", "uniform-in-classes",
    ]  # fmt: skip
    own = {ref: stratum(load_subset_manifest(ref)[0]) for ref in (UNEVEN, CLASSES)}
    assert [stratum(one) for one, _ in made[::2]] == [own[UNEVEN], own[CLASSES], own[UNEVEN]]
    labels = load_keyring("digits").labels["train"]
    counts = [np.bincount(labels[positions], minlength=10) for _, positions in made[4:]]
    chosen = np.bincount(labels[load_subset_manifest(UNEVEN)[1]], minlength=10)
    assert np.array_equal(counts[0], chosen)
    assert np.array_equal(counts[1], chosen)
    assert not np.array_equal(np.sort(made[4][1]), np.sort(made[5][1]))
    assert len({one.data_digest() for one, _ in made}) == 6


def test_a_second_call_changes_nothing(tmp_path):
    track = a_track()
    first = random_subsets(track, tmp_path)
    before = contents(tmp_path)
    assert random_subsets(track, tmp_path) == first
    assert contents(tmp_path) == before
    (shutil.rmtree(first[1].parent), shutil.rmtree(first[4].parent))  # interrupted, and repeated
    assert random_subsets(track, tmp_path) == first
    assert {file: content for file, (content, _) in contents(tmp_path).items()} == {
        file: content for file, (content, _) in before.items()
    }


def test_seeds_are_hashes_that_no_released_subset_has():
    released = {json.loads(find_manifest(ref).read_bytes())["seed"] for ref in subsets("digits")}
    seeds = [draw.seed for draw in draws(a_track(null=39))]
    assert len(set(seeds)) == len(seeds) == 3 * 39
    assert not released & set(seeds)
    assert min(seeds) >= 2**32 > max(released)
    assert seed_of("a", 1) != seed_of("a", 2)


def changed_seed(folder):
    file = folder / "null/digits/uniform-10pct-null-00/v1.json"
    file.write_text(json.dumps(json.loads(file.read_bytes()) | {"seed": 3}))


def chosen_by_hand(folder):
    subset, columns = build_subset(
        "digits", "uniform", Budget(fraction=0.1), name="uniform-10pct-null-00", seed=3
    )
    shutil.rmtree(folder / "null/digits/uniform-10pct-null-00")
    save_subset(subset, columns, null_folder(folder))


def one_more(folder):
    subset, columns = build_subset(
        "digits", "uniform", Budget(fraction=0.1), name="uniform-10pct-null-99", seed=3
    )
    save_subset(subset, columns, null_folder(folder))


@pytest.mark.parametrize("hand", [chosen_by_hand, one_more])
def test_nobody_chooses_a_null(tmp_path, hand):
    track = a_track()
    random_subsets(track, tmp_path)
    assert len(stored(track, tmp_path)) == 6
    hand(tmp_path)
    with pytest.raises(BadResults, match=r"is no random subset that the track's rule draws.*§5"):
        stored(track, tmp_path)


def test_a_null_that_was_changed_is_found_when_the_track_is_run(tmp_path):
    random_subsets(a_track(), tmp_path)
    changed_seed(tmp_path)
    with pytest.raises(BadResults, match=r"uniform-10pct-null-00.v1\.json is no random subset"):
        random_subsets(a_track(), tmp_path)


def test_a_plan_has_the_null_after_the_tracks_own_and_writes_nothing(tmp_path):
    track = a_track()
    arms = plan(track, tmp_path)
    assert [arm.file.name for arm in arms][4:] == [
        "uniform-10pct-null-00-v1.jsonl", "uniform-10pct-null-01-v1.jsonl",
        "uniform-5-classes-null-00-v1.jsonl", "uniform-5-classes-null-01-v1.jsonl",
        "el2n-easy-10pct-matched-00-v0.jsonl", "el2n-easy-10pct-matched-01-v0.jsonl",
    ]  # fmt: skip
    assert not list(tmp_path.iterdir())
    assert len(plan(track, tmp_path, null=False)) == 4
    assert len(plan(track, tmp_path, subsets=[EVEN])) == 2
    random_subsets(track, tmp_path / track.name)
    again = plan(track, tmp_path)
    assert [run.key for arm in again for run in arm.runs] == [r.key for a in arms for r in a.runs]
    for (one, positions), file in zip(
        planned(track, tmp_path / track.name), random_subsets(track, tmp_path / track.name),
        strict=True,
    ):  # fmt: skip
        there, rows = load_subset_manifest(file)
        assert there == one
        assert rows is None or np.array_equal(rows, positions)


def test_the_primary_budget_is_a_kind_and_a_size():
    assert primary_stratum(make_track(primary="10pct")) == ("samples", 120)
    assert primary_stratum(make_track(primary="5-classes")) == ("classes", 5)
    assert primary_stratum(make_track()) is None


def test_uneven_means_neither_balanced_nor_like_a_random_draw():
    """A random draw is called uneven in about one of a hundred cases, at any size."""
    rng = np.random.default_rng(0)
    there = np.array([178, 182, 177, 183, 181, 182, 181, 179, 174, 180])
    for size in (90, 450, 900):
        drawn = rng.multivariate_hypergeometric(there, size, size=2000)
        assert 0.004 < np.mean([uneven(counts, there) for counts in drawn]) < 0.02
    even = np.full(10, 14)
    assert not uneven(even, there)
    assert not uneven(even + (np.arange(10) < 4), there)
    assert uneven(np.array([140, *[0] * 9]), there)
    assert not uneven(there, there)  # all there is
    skewed = np.array([3, 500, 500])
    assert not uneven(np.array([3, 50, 50]), skewed)  # balanced, one class used up
    assert uneven(np.array([3, 60, 40]), skewed)
    assert not uneven(np.array([0, 20, 20]), np.array([0, 20, 40]))


def test_random_and_class_subsets_need_no_matched_null():
    from lotterybench.manifests import find_base

    base, _ = find_base("digits")
    for ref in ("digits/uniform-10pct@1", "digits/class-balanced-10pct@1", CLASSES, EVEN):
        assert uneven_counts(*load_subset_manifest(ref), base) is None
    assert sum(uneven_counts(*load_subset_manifest(UNEVEN), base)) == 120


def pool_of(counts):
    labels = np.random.default_rng(1).permutation(np.repeat(np.arange(len(counts)), counts))
    return Pool(labels, len(counts))


def test_a_matched_draw_has_exactly_these_counts_and_each_sample_the_same_chance():
    pool, wanted = pool_of([6, 4, 3]), [2, 0, 3]
    seen = np.zeros(13)
    for seed in range(3000):
        rng = np.random.default_rng(seed)
        picked = selector["uniform-in-classes"](pool, 5, rng, counts=wanted)
        assert np.bincount(pool.labels[picked], minlength=3).tolist() == wanted
        seen[picked] += 1
    chance = np.array([1 / 3, 0, 1])[pool.labels]
    assert np.abs(seen / 3000 - chance).max() < 0.04
    rng = np.random.default_rng(0)
    shares = selector["uniform-in-classes"](pool, 7, rng)
    assert np.bincount(pool.labels[shares]).tolist() == [3, 2, 2]


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([2, 3], "2 counts were given; there are 3 classes"),
        ([2, 1, 1], "the counts sum to 4; 5 samples were asked for"),
        ([-1, 3, 3], "-1 samples of class 0 were asked for; it has 6"),
        ([1, 0, 4], "4 samples of class 2 were asked for; it has 3"),
    ],
)
def test_counts_that_do_not_fit_are_refused(counts, message):
    with pytest.raises(BadRequest, match=message):
        selector["uniform-in-classes"](
            pool_of([6, 4, 3]), 5, np.random.default_rng(0), counts=counts
        )


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """12 configurations of 6 families, three subsets and their null, one of it without runs."""
    folder = tmp_path_factory.mktemp("null")
    rng = np.random.default_rng(4)
    track = a_track(null=3)
    track_file(folder).write_bytes(track.pretty())
    truth = rng.normal(70, 10, (12, 1))
    files = random_subsets(track, folder)
    arms = {None: truth + 0.1 * rng.normal(size=(12, 2))}
    for ref in [*track.subsets, *map(str, files)]:
        arms[ref] = truth + rng.normal(scale=8, size=(12, 1)) + 0.1 * rng.normal(size=(12, 2))
    del arms[str(files[-1])]
    for ref, values in arms.items():
        write_arm(folder, track, values, ref)
    for file in folder.glob("*.jsonl"):  # class subsets are tested on their own classes
        if "5-classes" in file.name:
            lines = [
                json.loads(line) | {"scope": "subset"} for line in file.read_text().splitlines()
            ]
            file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return track, folder, files, arms, board(folder)


def tau(one, other):
    return stats.kendalltau(one.mean(1), other.mean(1)).statistic


def test_random_subsets_stand_on_the_board_by_their_tau_alone(case):
    track, _, files, arms, found = case
    assert [f"{one.subset}@{one.subset_version}" for one in found.subsets] == track.subsets
    taus = [tau(arms[None], arms[str(file)]) for file in files[:-1]]
    sizes = [(one.kind, one.size, one.matched, one.missing) for one in found.nulls]
    assert sizes == [
        ("samples", 120, None, 0), ("classes", 5, None, 0),
        ("samples", 120, "digits/el2n-easy-10pct", 1),
    ]  # fmt: skip
    assert [value for one in found.nulls for value in one.tau] == pytest.approx(taus)


def test_an_uneven_subset_is_judged_against_both_nulls(case):
    _, _, files, arms, found = case
    one, other, classes = (entry.fidelity for entry in found.subsets)
    assert (one.uneven, other.uneven, classes.uneven) == (True, False, False)
    assert (one.null.count, one.null_matched.count) == (3, 2)
    assert other.null.count == 3
    assert other.null_matched is None
    assert classes.null.count == 3
    own = tau(arms[None], arms[UNEVEN])
    matched = [tau(arms[None], arms[str(file)]) for file in files[6:8]]
    assert one.null_matched.p == pytest.approx((1 + sum(t >= own for t in matched)) / 3)
    z = np.arctanh(matched)
    t = (np.arctanh(own) - z.mean()) / (z.std(ddof=1) * (1 + 1 / 2) ** 0.5)
    assert one.null_matched.p_t == pytest.approx(stats.t.sf(t, 1))
    assert one.null_matched.p_holm == pytest.approx(one.null_matched.p_t)
    both = [one.null.p_t, other.null.p_t]
    assert min(one.null.p_holm, other.null.p_holm) == pytest.approx(min(1, 2 * min(both)))


def test_a_board_is_ranked_by_named_and_random_subsets_of_its_budgets(case):
    found = case[4].ranked
    assert [(one.kind, one.size, one.subsets) for one in found.budgets] == [("samples", 120, 5)]
    only = found.budgets[0]
    assert (only.seeds, only.families) == (found.seeds, found.families)
    assert only.components.method > only.components.seed
    assert found.holds == (found.seeds >= 0.7 and found.families >= 0.7)
    assert found.holds or found.why.endswith("(protocol §9)")


def test_selection_is_paid_for(case):
    fidelity = case[4].subsets[0].fidelity
    shown = load_subset_manifest(UNEVEN)[0].selected_with
    rows = len(load_keyring("digits").labels["train"])
    cost = shown.proxy.epochs * rows * len(shown.proxy_seeds) * 3
    assert fidelity.selection_cost == cost
    assert fidelity.cost_ratio == 1
    assert fidelity.total_ratio == pytest.approx(1 + cost / (12 * 2 * 100))
    assert fidelity.break_even is None  # the made-up runs see as many images as on full data
    assert case[4].subsets[2].fidelity.selection_cost == 0


def test_the_break_even_is_the_first_number_of_runs_that_pays():
    rng = np.random.default_rng(0)
    for selection, there, full in rng.integers(1, 60, size=(300, 3)):
        found = break_even(selection, there, full)
        brute = [m for m in range(1, 5000) if selection + m * there < m * full]
        assert found == (brute[0] if brute else None)
    assert break_even(0, 1, 2) == 1


def test_proxies_without_labels_have_no_folds_and_results_of_methods_tell_no_cost():
    shown = load_subset_manifest(UNEVEN)[0]
    of = shown.selected_with

    def cost(**changes):
        return selection_cost(
            shown.model_copy(update={"selected_with": of.model_copy(update=changes)}), 1000
        )

    each = of.proxy.epochs * 1000 * len(of.proxy_seeds)
    assert cost() == 3 * each
    assert cost(proxy_folds=5) == 5 * each
    assert cost(proxy=of.proxy.model_copy(update={"labels": False})) == each
    assert cost(methods=["a"]) is None
    assert cost(methods=["a"], images=500) == 500
    assert cost(proxy=None) == 0


def test_every_two_arms_are_compared_as_two_are():
    rng = np.random.default_rng(0)
    full = rng.normal(size=24)
    arms = [full + noise * rng.normal(size=(1, 24)) for noise in (0.2, 0.8, 2.0)]
    groups = np.repeat(np.arange(8), 3)
    found = pairwise_differences(full, arms, groups, np.random.default_rng(7), draws=500)
    assert list(found) == [(0, 1), (0, 2), (1, 2)]
    for (i, j), pair in found.items():
        again = paired_difference(
            full, arms[i][0], arms[j][0], groups, np.random.default_rng(7), draws=500
        )
        assert pair == again
    many = [np.concatenate([arms[0], arms[1]]), arms[2]]
    mean = pairwise_differences(full, many, groups, np.random.default_rng(7), draws=500)[0, 1]
    expected = (found[0, 2].difference + found[1, 2].difference) / 2
    assert mean.difference == pytest.approx(expected)
    few = np.repeat(np.arange(4), 6)
    assert pairwise_differences(full, arms, few, np.random.default_rng(7), draws=10) == {}


def found_of(track, values, subset, named=True):
    """Return a subset's runs as the board reads them."""
    from test_score import make_result

    lines = [
        make_result(track, entry, seed, float(value))
        for entry, row in zip(track.configurations, values, strict=True)
        for seed, value in enumerate(row)
    ]
    return Found(subset, lines, 0, named)


def test_a_selector_that_draws_at_random_is_scored_by_five_draws():
    rng = np.random.default_rng(2)
    track = make_track(families=8, each=2, seeds=2)
    truth = rng.normal(70, 10, (16, 1))

    def drawn(noise):
        return truth + noise * rng.normal(size=(16, 1)) + np.zeros((16, 2))

    def made(name, chosen, seed, **settings):
        return build_subset(
            "digits", chosen, Budget(fraction=0.1), name=f"{name}-{seed}", seed=seed,
            settings=settings,
        )[0]  # fmt: skip

    full = by_configuration(track, found_of(track, drawn(0), made("x", "uniform", 0)).results)
    balanced = [made("cb", "class-balanced", seed) for seed in range(5)]
    shares = [made("in", "uniform-in-classes", seed) for seed in range(2)]
    values = [drawn(1) for _ in balanced]
    found = [found_of(track, y, s) for y, s in zip(values, balanced, strict=True)]
    found += [found_of(track, drawn(30), load_subset_manifest(EVEN)[0])]
    found += [
        found_of(track, drawn(12), made("null", "uniform", seed), named=False) for seed in range(6)
    ]
    of = selectors(track, full, [*found, *(found_of(track, drawn(9), s) for s in shares)])
    by_name = {one.selector: one for one in of.scores}
    assert set(by_name) == {"class-balanced", "facility-location"}  # the null's are no selectors
    one = by_name["class-balanced"]
    taus = [tau(truth + np.zeros((16, 2)), y) for y in values]
    assert one.tau == pytest.approx(np.mean(taus))
    assert one.random
    assert one.p_holm == one.p_t < 0.05
    assert not by_name["facility-location"].random
    pair = of.differences[0]
    assert {pair.one, pair.other} == {"class-balanced", "facility-location"}
    assert pair.p_holm == pair.p
    four = selectors(track, full, found[1:])
    few = {one.selector: one for one in four.scores}["class-balanced"]
    assert (few.tau, few.p_t, few.why) == (None, None, "4 of 5 draws (protocol §5)")
    assert four.differences == []
    assert selectors(track, full, found[6:]) is None


def test_settings_make_another_selector():
    easy = load_subset_manifest(UNEVEN)[0]
    assert label(easy) == "el2n easiest=true"
    assert label(load_subset_manifest(EVEN)[0]) == "facility-location"


def test_two_subsets_rank_nothing():
    track = make_track(families=6, each=2, seeds=2)
    values = np.random.default_rng(0).normal(70, 10, (12, 2))
    one = found_of(track, values, load_subset_manifest(EVEN)[0])
    assert ranked(track, by_configuration(track, one.results), [one, one]) is None


@pytest.mark.slow
def test_a_killed_null_is_run_to_the_same_bytes(tmp_path):
    from test_run import SMALL

    track = SMALL.model_copy(
        update={"null": 1, "configurations": SMALL.configurations[:2], "subsets": [CLASSES]}
    )
    run_track(track, tmp_path, device="cpu", jobs=1)
    folder = tmp_path / track.name
    names = sorted(file.name for file in folder.glob("*.jsonl"))
    assert names == [
        "full.jsonl", "uniform-5-classes-null-00-v1.jsonl", "uniform-5-classes-v1.jsonl",
    ]  # fmt: skip
    before = {file.name: file.read_bytes() for file in folder.glob("*.jsonl")}
    for one, other in pairwise(names[1:]):  # half of one is lost, and all of the other
        lines = before[one].splitlines(keepends=True)
        (folder / one).write_bytes(b"".join(lines[:2]))
        (folder / other).unlink()
    shutil.rmtree(null_folder(folder))
    run_track(track, tmp_path, device="cpu", jobs=1)
    assert {file.name: file.read_bytes() for file in folder.glob("*.jsonl")} == before
    assert board(folder).nulls[0].missing == 0


def test_no_class_list_is_drawn_twice_or_is_the_tracks_own():
    """39 of the 252 lists of five digits: drawn freely, some would be the same runs."""
    found = [draw.built()[0] for draw in draws(find_track("digits-stacked"))]
    lists = [frozenset(subset.classes) for subset in found if subset.kind == "classes"]
    own = [
        frozenset(subset.classes)
        for ref in find_track("digits-stacked").subsets
        if (subset := load_subset_manifest(ref)[0]).kind == "classes"
    ]
    assert len(lists) == 39
    assert len({*lists, *own}) == 39 + len(own)


TWO = "digits/uniform-2-classes-draw00@0"


def test_a_base_of_few_classes_has_fewer(monkeypatch):
    track = find_track("digits-stacked").model_copy(update={"null": 60, "subsets": [TWO]})
    monkeypatch.setattr("lotterybench.nulls.MOST_DRAWS", 60)
    found = [draw.built()[0] for draw in draws(track)]
    assert 30 < len(found) < 45  # of 45 pairs, one of them the track's own
    assert len({frozenset(subset.classes) for subset in found}) == len(found)


def test_random_subsets_beside_the_plan_are_drawn_by_its_rule(tmp_path):
    track = a_track(null=0)
    assert random_subsets(track, tmp_path) == []
    made = {
        ref: random_beside(track, ref, tmp_path, 3) for ref in (EVEN, UNEVEN, CLASSES)
    }  # fmt: skip
    assert [len(files) for files in made.values()] == [3, 6, 3]
    assert made[UNEVEN][:3] == made[EVEN]  # one size, one null
    planned_ones = random_subsets(a_track(null=3), tmp_path / "planned")
    assert [file.relative_to(tmp_path / "planned") for file in planned_ones] == [
        file.relative_to(tmp_path) for file in (*made[EVEN], *made[CLASSES], *made[UNEVEN][3:])
    ]
    for one, other in zip(
        planned_ones, (*made[EVEN], *made[CLASSES], *made[UNEVEN][3:]), strict=True
    ):
        assert one.read_bytes() == other.read_bytes()
    assert len(stored(track, tmp_path)) == 9


def test_random_subsets_beside_the_plan_grow_and_are_shared(tmp_path):
    track, before = a_track(null=0), {}
    random_beside(track, UNEVEN, tmp_path, 2)
    before = contents(tmp_path)
    assert len(random_beside(track, UNEVEN, tmp_path, 4)) == 8
    assert before.items() <= contents(tmp_path).items()
    assert len(random_beside(track, UNEVEN, tmp_path, 2)) == 8  # what is there stays
    assert len(stored(track, tmp_path)) == 8


def test_a_gap_in_random_subsets_beside_the_plan_is_refused(tmp_path):
    track = a_track(null=0)
    files = random_beside(track, EVEN, tmp_path, 3)
    for file in files[0].parent.iterdir():
        file.unlink()
    with pytest.raises(BadResults, match="no random subset that the track's rule draws"):
        stored(track, tmp_path)


def test_a_planned_size_keeps_the_plans_number(tmp_path):
    track = a_track()
    assert random_beside(track, EVEN, tmp_path, 7) == random_subsets(track, tmp_path)[:2]
    with pytest.raises(BadRequest, match="no subset of digits"):
        random_beside(track, "cifar100/uniform-10pct@1", tmp_path, 1)
