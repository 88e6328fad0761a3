"""Rankings of methods by arms of accelerated training: oracles, who is ranked, words, pages."""

import json
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from acceleration_page import page, times_of
from pydantic import ValidationError
from scipy import stats

from lotterybench.errors import BadRequest, UnknownName
from lotterybench.methods.base.families import family_of
from lotterybench.ranking.resampling import bootstrap, paired_difference
from lotterybench.run_study import planned_stages, read_findings, run_study
from lotterybench.score.fidelity import BOOTSTRAP_SEED
from lotterybench.score.studies import report
from lotterybench.studies import Finding, read_study
from lotterybench.studies.acceleration import (
    ESSENTIAL,
    AccelerationStudy,
    Compared,
    Source,
    Training,
)
from lotterybench.studies.acceleration_report import AccelerationReport
from lotterybench.studies.transfer import Domain
from lotterybench.tracks import study as studies
from lotterybench.tracks.base.selfsup import SGD

SWEEPS = Path(__file__).parents[1] / "benchmark" / "derive" / "learning_rates"
NAMED = ["digits-rela-methods", "cifar10-rela-methods-16px"]
A = Domain(name="a", base="digits", part="A", each=6)
B = Domain(name="b", base="digits", part="B", each=6)
ARMS = [*ESSENTIAL, "base-equal-cost", "base-fixed", "rela-fixed"]
BYOL = Training(method="byol", backbone="resnet", epochs=8, lr=0.1, batch=20)
OTHER = Source(name="other", how="trained", domain=B, training=BYOL)
RANDOM = Source(name="random", how="random", backbone="resnet")
ROUGH = 2.0  # points of seed noise


def entry_of(method, backbone="resnet", **changes):
    training = BYOL.model_copy(update={"method": method, "backbone": backbone})
    given = {"training": training, "arms": ARMS, "priors": ["other", "random"]}
    return Compared(name=f"{method}-{backbone}", **{**given, **changes})


def mini(methods=("simclr", "moco-v1", "vicreg", "swav"), backbones=("resnet",), **changes):
    given = {
        "schema_version": 1, "name": "mini-methods", "version": 1, "title": "A few methods",
        "kind": "acceleration", "asks": "ranking", "base": "digits", "seeds": 3, "domain": A,
        "priors": [OTHER, RANDOM], "budgets": [0.5], "looks": 2, "bank": 30, "queries": 20,
        "methods": [entry_of(name, of) for of in backbones for name in methods],
    }  # fmt: skip
    return AccelerationStudy(**{**given, **changes})


def finding(study, stage, metrics, status="ok"):
    looked = 60 if stage.does == "prior-targets" else 0
    return Finding(
        schema_version=1, study=study.name, study_version=1, study_digest=study.digest(),
        key=stage.key, stage=stage.does, arm=stage.arm, of=stage.of, seed=stage.seed,
        status=status, reason=None if status == "ok" else "it ended", metrics=metrics,
        images=2 * stage.images if status == "ok" else 0, looked=looked, base_digest="0" * 64,
        device="cpu", software={}, code_digest="0" * 64, origin="reference",
        isolation="self-reported",
    )  # fmt: skip


def found_of(study, linear, changed=None):
    """Return findings; `linear(method's place, stage)` is an accuracy in per cent.

    `changed(method, stage)` returns metrics in place of others, or a status other than ok.
    """
    names, found = [one.name for one in study.methods], []
    for stage in planned_stages(study):
        metrics = {"linear": 40.0, "knn": 30.0, "width": 64, "dimension": 64}
        if stage.does == "linear-map":
            metrics = {f"{way}-{of}": 0.1 for way in ("there", "back")
                       for of in ("r2", "whitened", "shuffled")}  # fmt: skip
        status = "ok"
        if stage.does == "accelerated":
            name = stage.of["method"]
            metrics = {
                "linear": float(linear(names.index(name), stage)), "knn": 60.0,
                "effective_rank": 20.0, "samples": 60, "shown": 1, "lr": 0.1,
                f"knn-after-{stage.of['epochs']}": 50,
            }  # fmt: skip
            other = changed(name, stage) if changed else None
            metrics |= other if isinstance(other, dict) else {}
            status = other if isinstance(other, str) else "ok"
        found.append(finding(study, stage, metrics if status == "ok" else {}, status))
    return found


def told(study, *given):
    return report["acceleration"](study, found_of(study, *given))


def row_of(made, arm, prior=None):
    [row] = [row for row in made.rankings if (row.arm, row.prior) == (arm, prior)]
    return row


def gap_of(row, arm):
    [gap] = [gap for gap in row.against if gap.arm == arm]
    return gap


def noisy(seed=0, sd=ROUGH):
    """Return accuracies of noisy methods that are a point apart: one draw for each stage."""
    rng, drawn = np.random.default_rng(seed), {}

    def linear(place, stage):
        return drawn.setdefault(stage.key, 50 + place + sd * rng.normal())

    return linear


def scores(study, found, arm, prior=None, names=None):
    """Return seed scores (n, seeds) of an arm by hand; −inf is a failure."""
    table = {
        (one.of["method"], one.seed): one.metrics.get("linear", -np.inf)
        for one in found
        if one.stage == "accelerated" and (one.arm, one.of.get("prior")) == (arm, prior)
    }
    names = names or [one.name for one in study.methods]
    return np.array([[table[name, seed] for seed in range(study.seeds)] for name in names])


@pytest.fixture(scope="module")
def large():
    """Return a study of 24 configurations, noisy findings, the report, and who is ranked."""
    study = mini(tuple(SGD), ("resnet", "repvgg"))
    found = found_of(study, noisy())
    ranked = [
        one.name for one in study.methods
        if family_of(one.training.method, one.training.backbone) != "distillation/resnet"
    ]  # fmt: skip
    return study, found, report["acceleration"](study, found), ranked


ROWS = [
    ("base-shorter", None), ("base-redrawn", None), ("base-fixed", None),
    ("rela-redrawn", "other"), ("rela-redrawn", "random"), ("rela-fixed", "other"),
]  # fmt: skip


# Statistics


def test_every_arm_is_ranked_as_scipy_ranks_it(large):
    study, found, made, ranked = large
    assert {(row.arm, row.prior) for row in made.rankings} == set(ROWS)
    for arm, prior in ROWS:
        row = row_of(made, arm, prior)
        x, y = (
            scores(study, found, *of, names=ranked).mean(1) for of in (("base-full",), (arm, prior))
        )
        assert (row.n, row.groups, row.seeds_full, row.seeds) == (21, 9, 3, 3)
        assert row.tau == pytest.approx(stats.kendalltau(x, y).statistic)
        assert row.rho == pytest.approx(stats.spearmanr(x, y).statistic)
        every = [scores(study, found, *of).mean(1) for of in (("base-full",), (arm, prior))]
        assert row.tau_all == pytest.approx(stats.kendalltau(*every).statistic)
        assert row.families.low < row.tau < row.families.high


def test_bounds_and_differences_resample_whole_families(large):
    study, found, made, ranked = large
    families = [
        family_of(one.training.method, one.training.backbone)
        for one in study.methods
        if one.name in ranked
    ]
    groups = np.array([sorted(set(families)).index(one) for one in families])
    x, y, base, shorter = (
        scores(study, found, *of, names=ranked).mean(1)
        for of in (("base-full",), ("rela-redrawn", "other"), ("base-redrawn",), ("base-shorter",))
    )
    row = row_of(made, "rela-redrawn", "other")

    def rng():
        return np.random.default_rng(BOOTSTRAP_SEED)

    bounds = bootstrap(x, y, groups, rng())
    assert (row.families.low, row.families.high) == pytest.approx(bounds)
    for arm, other in (("base-redrawn", base), ("base-shorter", shorter)):
        gap, tau = gap_of(row, arm), stats.kendalltau(x, other).statistic
        assert (gap.tau, gap.n) == (pytest.approx(tau), 21)
        assert gap.difference == pytest.approx(stats.kendalltau(x, y).statistic - tau)
        for shown, by in ((gap.families, groups), (gap.configurations, np.arange(21))):
            wanted = paired_difference(x, y, other, by, rng()).bounds
            assert (shown.low, shown.high) == pytest.approx(wanted)
    assert {gap.arm for gap in row_of(made, "rela-fixed", "other").against} == {
        "base-fixed", "base-shorter",
    }  # fmt: skip
    assert [gap.arm for gap in row_of(made, "base-redrawn").against] == ["base-shorter"]
    assert row_of(made, "base-shorter").against == []


@pytest.mark.parametrize(("sign", "tau"), [(1, 1.0), (-1, -1.0)])
def test_an_identical_order_is_1_and_a_reversed_one_minus_1(sign, tau):
    def linear(place, stage):
        return 50 + place * (sign if stage.arm == "rela-redrawn" else 1) + stage.seed / 8

    made = told(mini(), linear)
    row = row_of(made, "rela-redrawn", "other")
    assert (row.tau, row.rho) == (pytest.approx(tau), pytest.approx(tau))
    assert gap_of(row, "base-redrawn").difference == pytest.approx(tau - 1)
    assert row_of(made, "rela-fixed", "other").tau == pytest.approx(1)


def test_what_ties_everywhere_is_undefined():
    made = told(mini(), lambda place, stage: 50 + place * (stage.arm != "rela-fixed"))
    row = row_of(made, "rela-fixed", "other")
    assert (row.tau, row.rho, row.tau_all) == (None, None, None)
    assert {gap.difference for gap in row.against} == {None}
    assert any("τ-b undefined" in line and "not shown" in line for line in made.says)


def test_ceilings_are_those_of_halves_of_the_seeds_and_of_a_perfect_proxy(large):
    study, found, made, ranked = large
    row = row_of(made, "rela-redrawn", "other")
    for shown, of in (
        (row.repeat_full, ("base-full",)), (row.repeat_arm, ("rela-redrawn", "other")),
    ):  # fmt: skip
        by_seed = scores(study, found, *of, names=ranked).T
        halves = [stats.kendalltau(*pair).statistic for pair in combinations(by_seed, 2)]
        assert shown == pytest.approx(np.mean(halves))
    sides = [
        scores(study, found, *of, names=ranked)
        for of in (("base-full",), ("rela-redrawn", "other"))
    ]
    rng, taus = np.random.default_rng(1), []
    means = sides[0].mean(1)
    for _ in range(400):
        drawn = []
        for side in sides:
            noise = side.var(axis=1, ddof=1).mean() / 3
            spread = (side.mean(1).var(ddof=1) - noise) ** 0.5
            truth = spread * (means - means.mean()) / means.std(ddof=1)
            drawn.append(truth + noise**0.5 * rng.normal(size=len(means)))
        taus.append(stats.kendalltau(*drawn).statistic)
    assert row.arm_ceiling == pytest.approx(np.mean(taus), abs=0.02)
    assert row.ratio == pytest.approx(row.tau / row.arm_ceiling)


def test_without_noise_the_ceilings_are_1_and_with_one_seed_there_are_none():
    made = told(mini(), lambda place, _: 50 + place)
    row = row_of(made, "rela-redrawn", "other")
    assert (row.repeat_full, row.repeat_arm, row.arm_ceiling) == (1, 1, 1)
    alone = row_of(told(mini(seeds=1), noisy()), "rela-redrawn", "other")
    assert (alone.repeat_full, alone.arm_ceiling, alone.ratio) == (None, None, None)
    assert alone.seeds == 1


# Who is ranked


def test_families_that_trained_the_prior_are_named_and_not_ranked(large):
    _, _, made, ranked = large
    assert made.unranked == {
        f"{name}-resnet": "family distillation/resnet trained the prior other (protocol §6)"
        for name in ("byol", "simsiam", "dino")
    }
    assert not made.unranked.keys() & set(ranked)
    [line] = [line for line in made.says if line.startswith("Not ranked")]
    assert all(f"{name}-resnet" in line for name in ("byol", "dino", "simsiam"))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"effective_rank": 4.9}, "collapsed on full data"),
        ({"knn": 30.0}, "no better than random weights on full data (k-NN 30.0 %)"),
        ("invalid", "failed on full data (2 of 3 seeds ended well)"),
    ],
)
def test_full_data_alone_decides_who_is_a_member(change, reason):
    study = mini(("simclr", "moco-v1", "vicreg", "swav", "dcl"))

    def changed(name, stage):
        one = stage.arm == "base-full" if isinstance(change, dict) else stage.seed == 1
        return change if name == "swav-resnet" and stage.arm == "base-full" and one else None

    made = told(study, noisy(), changed)
    assert made.unranked == {"swav-resnet": f"{reason} (protocol §1)"}
    assert row_of(made, "base-redrawn").n == 4
    elsewhere = told(study, noisy(), lambda name, stage: (
        change if name == "swav-resnet" and stage.arm == "base-redrawn" and stage.seed == 1
        else None
    ))  # fmt: skip
    assert elsewhere.unranked == {}
    assert row_of(elsewhere, "base-redrawn").n == 5


def test_methods_that_read_labels_or_mask_are_not_ranked():
    study = mini(("simclr", "moco-v1", "vicreg", "swav", "supcon", "mae"))
    made = told(study, noisy())
    assert made.unranked["supcon-resnet"] == "it reads labels (protocol §1)"
    assert "fine-tuned" in made.unranked["mae-resnet"]
    assert row_of(made, "base-redrawn").n == 4


def test_failures_of_an_arm_rank_last_and_tie():
    study = mini(("simclr", "moco-v1", "vicreg", "swav", "dcl", "nnclr"))
    failing = ("nnclr-resnet", "dcl-resnet")

    def changed(name, stage):
        failed = name in failing and stage.arm == "rela-redrawn" and stage.seed == 2
        return "invalid" if failed else None

    found = found_of(study, noisy(3), changed)
    row = row_of(report["acceleration"](study, found), "rela-redrawn", "other")
    x, y = scores(study, found, "base-full"), scores(study, found, "rela-redrawn", "other")
    last = np.where(np.isinf(y.mean(1)), -1e9, y.mean(1))
    assert row.tau == pytest.approx(stats.kendalltau(x.mean(1), last).statistic)
    assert (row.failures, row.n, row.two_level) == (2, 6, None)


def test_what_the_machine_refused_waits_and_is_no_failure():
    def changed(name, stage):
        waits = name == "simclr-resnet" and stage.arm == "rela-redrawn" and stage.seed == 0
        return "infra" if waits else None

    row = row_of(told(mini(), noisy(), changed), "rela-redrawn", "other")
    assert (row.seeds_full, row.seeds, row.failures, row.n) == (3, 2, 0, 4)
    assert "1 planned runs have no status yet" in row.why


def test_fewer_than_four_configurations_are_not_ranked():
    def changed(name, stage):
        return "invalid" if name == "swav-resnet" and stage.arm == "base-full" else None

    made = told(mini(), noisy(), changed)
    assert made.rankings == []
    assert "swav-resnet" in made.unranked
    found = [one for one in found_of(mini(), noisy()) if one.arm != "base-full"]
    assert report["acceleration"](mini(), found).rankings == []


# Cost and words


def test_the_prior_is_paid_for_once_and_the_control_has_as_many_epochs(large):
    _, _, made, _ = large
    row = row_of(made, "rela-redrawn", "other")
    # as many images as the samples, for as many epochs: the prior costs a training on full data
    wanted = 0.5 + (1 + 60 / (3 * 2 * 8 * 60)) / 72
    assert row.cost == pytest.approx(wanted)
    assert round(8 * wanted) == 4
    assert gap_of(row, "base-shorter").equal_cost
    assert not gap_of(row, "base-redrawn").equal_cost
    assert row_of(made, "base-redrawn").cost == row_of(made, "base-shorter").cost == 0.5
    assert row_of(made, "rela-redrawn", "random").cost < row.cost
    few = told(mini(), noisy())
    dear = row_of(few, "rela-redrawn", "other")
    assert dear.cost == pytest.approx(0.5 + (1 + 60 / 2880) / 12)
    assert round(8 * dear.cost) == 5
    assert not gap_of(dear, "base-shorter").equal_cost, "four epochs are too few"
    assert gap_of(dear, "base-equal-cost").equal_cost, "five are trained"
    assert row_of(few, "base-equal-cost", "other").cost == 5 / 8
    own = row_of(told(mini(prior_seeds="each"), noisy()), "rela-redrawn", "other")
    assert own.cost == pytest.approx(0.5 + (1 + 60 / 2880) / 4)
    assert gap_of(own, "base-equal-cost").equal_cost, "six epochs"


def test_few_configurations_show_nothing(large):
    small = told(mini(), lambda place, _: 50 + place)
    row = row_of(small, "rela-redrawn", "other")
    assert (row.tau, row.families, gap_of(row, "base-redrawn").families) == (1, None, None)
    assert any("no interval below 6 families (protocol §3)" in line for line in small.says)
    for made in (small, large[2]):
        assert {row.verdict for row in made.rankings} == {"descriptive"}
        lines = [line for line in made.says if "preserves the ranking is" in line]
        assert len(lines) == 2, "redrawn and fixed, with the main prior"
        assert all("is not shown: " in line and "(protocol §1)" in line for line in lines)
        assert not any("ticket" in line for line in made.says)
        assert not any("accelerates" in line or "not told apart" in line for line in made.says)


def test_a_study_of_few_methods_ranks_nothing():
    tiny = studies["digits-rela-tiny"]
    made = told(tiny, noisy())
    assert (made.rankings, made.unranked) == ([], {})
    assert not any("ranking" in line for line in made.says)


def test_the_order_of_findings_does_not_matter(large):
    study, found, made, _ = large
    again = report["acceleration"](study, found[::-1])
    by_place = {(row.arm, row.prior): row for row in again.rankings}
    for row in made.rankings:
        assert by_place[row.arm, row.prior].families == row.families
        assert by_place[row.arm, row.prior].tau == row.tau


def test_the_page_has_the_rankings(large):
    study, _, made, _ = large
    again = AccelerationReport.read(made.pretty(), "report")
    assert again == made
    text = page(study, again, times_of([], []))
    row = row_of(made, "rela-redrawn", "other")
    bounds = f"{row.families.low:.2f} – {row.families.high:.2f}"
    assert f"| rela-redrawn | other | 50% | 21 | 9 | 3 + 3 | {row.tau:.2f} | {bounds} |" in text
    gap = gap_of(row, "base-shorter")
    assert f"| rela-redrawn | other | 50% | base-shorter | 21 | {gap.difference:+.2f} |" in text
    assert "* byol-resnet: family distillation/resnet trained the prior other" in text
    assert "None" not in text
    bare = page(study, made.model_copy(update={"rankings": []}), times_of([], []))
    assert "rank methods" not in bare


# Records and plans


def test_rates_on_digits_are_the_best_of_their_sweep():
    lines = [
        json.loads(line)
        for name in ("selfsup", "simclr")
        for line in (SWEEPS / f"digits-{name}.jsonl").read_text().splitlines()
    ]
    for one in studies["digits-rela-methods"].methods:
        swept = [
            line for line in lines
            if line["backbone"] == "resnet" and line.get("method", "simclr") == one.training.method
        ]  # fmt: skip
        best = max(swept, key=lambda line: (line["mean"], -line["lr"]))
        assert (len(swept), best["lr"]) == (3, one.training.lr), one.name


@pytest.mark.parametrize("name", NAMED)
def test_the_studies_rank_the_pool_at_half_of_the_samples(name):
    entry = studies[name]
    assert read_study(entry.pretty(), name) == entry
    assert {one.training.method for one in entry.methods} == set(SGD)
    stages = planned_stages(entry)
    for method in entry.methods:
        there = Counter(
            (one.arm, one.of.get("prior"))
            for one in stages
            if one.does == "accelerated" and one.of["method"] == method.name
        )
        wanted = {("base-full", None), *ROWS}
        main = {(arm, prior and method.main) for arm, prior in wanted if prior != "random"}
        assert there.keys() >= main
        assert set(there.values()) == {3}
        paid = entry.priors[0].training.epochs / len(entry.methods) / entry.seeds
        control = round(method.training.epochs / 2 + paid)
        assert control in {
            one.of["epochs"] for one in stages
            if one.arm in ("base-shorter", "base-equal-cost") and one.of["method"] == method.name
        }, "a control of equal cost"  # fmt: skip
    assert {one.of["budget"] for one in stages if one.does == "accelerated"} == {0.5}


def test_what_a_study_asks_leaves_no_trace_by_default():
    assert "asks" not in studies["digits-rela-tiny"].fields()
    assert mini().fields()["asks"] == "ranking"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": ("simclr", "dcl", "byol")}, "a ranking takes at least 4 methods, not 3"),
        ({"asks": "acceleration"}, r"simclr-resnet lacks the arms .* \(protocol §10\)"),
        ({"asks": "everything"}, "'acceleration' or 'ranking'"),
    ],
)
def test_studies_that_cannot_rank_are_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        mini(**changes)


def test_methods_of_a_ranking_have_one_main_prior_and_differ():
    entries = list(mini().methods)
    far = OTHER.model_copy(update={"name": "far"})
    moved = entries[0].model_copy(update={"priors": ["far", "random"]})
    changes = mini().model_dump() | {"priors": [far, OTHER, RANDOM]}
    with pytest.raises(ValidationError, match="one main prior, not far, other"):
        AccelerationStudy(**changes | {"methods": [moved, *entries[1:]]})
    twin = entries[0].model_copy(update={"name": "twin"})
    with pytest.raises(ValidationError, match="they are trained alike"):
        AccelerationStudy(**mini().model_dump() | {"methods": [twin, *entries]})


def test_families_of_more_than_four_are_refused_by_the_plan():
    lr = [BYOL.model_copy(update={"method": "simclr", "lr": 0.01 * n}) for n in range(1, 6)]
    entries = [
        Compared(name=f"simclr-{n}", training=one, arms=ARMS, priors=["other"])
        for n, one in enumerate(lr)
    ]
    entry = AccelerationStudy(**mini().model_dump() | {"methods": entries})
    with pytest.raises(BadRequest, match=r"contrastive/resnet has 5 .* \(protocol §1\)"):
        planned_stages(entry)
    assert planned_stages(AccelerationStudy(**entry.model_dump() | {"methods": entries[:4]}))


def test_families_are_those_of_the_tracks():
    for name in ("cifar10-5k-selfsup-16px", "cifar100-selfsup-16px"):
        from lotterybench.tracks import track

        if name in track:
            for one in track[name].scored():
                assert family_of(one.method, one.config["backbone"]) == one.family
    with pytest.raises(UnknownName, match="rosnet"):
        family_of("byol", "rosnet")


@pytest.mark.slow
def test_a_study_is_run_and_ranked(tmp_path):
    few = [
        entry_of(name, arms=ESSENTIAL, priors=["other"])
        for name in ("simclr", "moco-v1", "vicreg", "swav")
    ]
    entry = AccelerationStudy(**mini().model_dump() | {"seeds": 1, "methods": few})
    run_study(entry, tmp_path, device="cpu", jobs=1)
    found = read_findings(tmp_path / entry.name)
    assert {one.status for one in found} == {"ok"}
    made = report["acceleration"](entry, found)
    trained = [one for one in found if one.stage == "accelerated" and one.arm == "base-full"]
    assert len(trained) == 4
    assert {row.n for row in made.rankings} <= {4}
    assert made.rankings or made.unranked, "ranked, or below random weights after so few steps"
