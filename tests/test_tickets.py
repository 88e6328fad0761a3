"""PrAC studies: their plans, the rules that they follow, and what the report makes of findings."""

import itertools
import json

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from ticket_studies import mini

from lotterybench.errors import BadData
from lotterybench.kinds.stages.watching import Best, Settling
from lotterybench.kinds.tickets.overlaps import agreement
from lotterybench.manifests import find_record
from lotterybench.methods.base.rates import Stepped
from lotterybench.pruning.masks import Masks
from lotterybench.ranking.replicates import difference, mean
from lotterybench.records import Declared
from lotterybench.run_study import planned_stages
from lotterybench.score.studies import report
from lotterybench.studies import Arm, Finding, Pruning, Recipe
from lotterybench.studies.tickets import Claim
from lotterybench.tracks import study as studies


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name.endswith(("tiny", "16px")) else pytest.mark.slow)
        for name in studies
    ],
)
def test_all_stages_have_keys_of_their_own_and_needs_before_them(name):
    if isinstance(find_record(studies[name].base)[0], Declared):
        with pytest.raises(BadData, match="declared only"):
            planned_stages(studies[name])
        return
    known = set()
    for stage in planned_stages(studies[name], seeds=None if name.endswith("tiny") else 1):
        assert {need.key for need in stage.needs.values()} <= known, stage
        assert stage.key not in known, stage
        known.add(stage.key)
        json.dumps(stage.settings)


def test_equal_sets_agree_wholly_and_independent_ones_by_chance():
    rng = np.random.default_rng(0)
    among, labels = np.arange(3000), rng.integers(0, 5, 3000)
    some = np.sort(rng.choice(3000, 900, replace=False))
    assert agreement(some, some, among, labels)["normalised"] == 1
    off = [agreement(some, rng.choice(3000, 900, replace=False), among, labels) for _ in range(40)]
    assert abs(np.mean([one["normalised"] for one in off])) < 0.01
    assert abs(np.mean([one["normalised-within"] for one in off])) < 0.01
    # independent within classes, but both of the same two classes: only that is chance
    pool = np.flatnonzero(labels < 2)
    pair = [rng.choice(pool, 500, replace=False) for _ in range(2)]
    got = agreement(*pair, among, labels)
    assert got["normalised"] > 0.1 and abs(got["normalised-within"]) < 0.06


def test_settling_is_the_rule_of_the_paper():
    """Against the rule written down plainly, on random walks of weights."""
    generator = torch.Generator().manual_seed(3)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, bias=False))
    masks, pruning = Masks.dense({"0.weight": net[0].weight}), Pruning(rounds=4)
    for scale, patience, warm_up in itertools.product((0.3, 0.05), (1, 3), (0, 4)):
        watch = Settling(masks, pruning, 0, 0.05, patience, warm_up)
        queue, armed, before, stop = [1.0] * patience, False, None, -1
        for epoch in range(30):
            with torch.no_grad():
                net[0].weight += (
                    scale / (1 + epoch) * torch.randn(net[0].weight.shape, generator=generator)
                )
            flat = net[0].weight.detach().abs().flatten()
            kept = set(flat.argsort(descending=True)[: round(0.8 * len(flat))].tolist())
            if before is not None:
                off = len(kept ^ before) / len(flat)
                armed = armed or off > 0.05
                if armed and epoch > warm_up:
                    queue = [*queue[1:], off]
            before = kept
            ended = watch.epoch(epoch, net, None)
            if max(queue) < 0.05:
                stop = epoch
            assert ended == (stop >= 0)
            if ended:
                break
        assert watch.at == stop


def test_settling_goes_on_from_its_state():
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, bias=False))
    masks = Masks.dense({"0.weight": net[0].weight})
    one, other = (Settling(masks, Pruning(rounds=2), 0, 0.1, 2, 0) for _ in range(2))
    generator = torch.Generator().manual_seed(1)
    for epoch in range(6):
        with torch.no_grad():
            net[0].weight += 0.1 * torch.randn(net[0].weight.shape, generator=generator)
        other.restore(one.state())
        assert one.epoch(epoch, net, None) == other.epoch(epoch, net, None)
        assert one.distances == other.distances and one.armed == other.armed


def test_the_first_of_equally_good_epochs_is_kept():
    images, labels = torch.zeros(4, 1, 8, 8, dtype=torch.uint8), torch.zeros(4, dtype=torch.int64)
    best = Best(images, labels, torch.arange(4))
    encoder, head = torch.nn.Flatten(), torch.nn.Linear(64, 2)
    for epoch in range(3):
        with torch.no_grad():
            head.weight.fill_(epoch)
            head.bias.copy_(torch.tensor([1.0, 0.0]))
        best.epoch(epoch, encoder, head)
    assert (best.at, best.accuracy, best.images) == (0, 100.0, 12)
    assert not best.kept["@head.weight"].any()


def test_recipes_shrink_as_the_paper_s_code_does():
    recipe = Recipe(backbone="resnet8", epochs=182, lr=0.1, milestones=[91, 136])
    third = recipe.scaled(16499 / 45000)
    assert (third.epochs, third.milestones) == (66, [33, 49])
    tiny = recipe.scaled(0.001)
    assert (tiny.epochs, tiny.milestones) == (1, [1, 1])
    rate = Stepped(182, (91, 136), 0.1, warm_up=0)
    steps = 182 * 352
    found = [rate(epoch * 352, steps) for epoch in (0, 90, 91, 135, 136, 181)]
    assert np.allclose(found, [1, 1, 0.1, 0.1, 0.01, 0.01])
    assert Stepped(10, (), warm_up=2)(0, 100) == 1 / 20


def test_bad_plans_are_refused():
    with pytest.raises(ValidationError, match="milestones"):
        Recipe(backbone="resnet8", epochs=4, lr=0.1, milestones=[4])
    with pytest.raises(ValidationError, match="no earlier arm"):
        mini(arms=[Arm(name="random", data="random", follows="prac")])
    with pytest.raises(ValidationError, match="follows another"):
        Arm(name="random", data="random")
    with pytest.raises(ValidationError, match="stop early as well"):
        Arm(name="a", data="full", follows="prac", matched=True, stops=True)


def line(study, arm, level, seed, stage="round", **fields):
    of = {"recipe": "main", "level": level}
    return Finding(
        schema_version=1, study=study.name, study_version=1, study_digest=study.digest(),
        key="0" * 64, stage=stage, arm=arm, of=of, seed=seed, status="ok", base_digest="0" * 64,
        device="cpu", software={}, code_digest="0" * 64, origin="reference",
        isolation="rerun-unsandboxed", **fields,
    )  # fmt: skip


def test_savings_are_the_paper_s_arithmetic():
    """7 rounds of 64,064 steps against 72,327: 83.87 % (reference figures of CIFAR-10)."""
    study = mini(
        seeds=2, pruning=Pruning(rounds=7), evaluated=[0, 7], at=7,
        claims=[Claim(what="steps-saved", level=7, published=83.93, tolerance=3, source="x")],
        arms=[
            Arm(name="imp", data="full"), Arm(name="imp-stopped", data="full", stops=True),
            Arm(name="prac", data="prac", stops=True),
        ],
    )  # fmt: skip
    metrics = {"samples": 45000, "epochs": 182, "settled": 0, "test": 90.0}
    spent = {"imp": [64064] * 7, "imp-stopped": [33792] * 7, "prac": [33792, *[6423] * 5, 6420]}
    lines = [
        line(study, arm, level, seed, steps=steps, images=steps, looked=steps, metrics=metrics)
        for arm, rounds in spent.items()
        for level, steps in enumerate(rounds)
        for seed in range(2)
    ]
    tests = {"imp": (90.0, 90.4), "imp-stopped": (90.1, 90.3), "prac": (90.1, 90.2)}
    lines += [
        line(study, arm, 7, seed, "ticket", metrics={"test": value, "density": 0.8**7})
        for arm, values in tests.items()
        for seed, value in enumerate(values)
    ]
    found = report["tickets"](study, lines)
    saving = {row.arm: row for row in found.savings}
    assert round(100 * saving["prac"].steps_saved.value, 2) == 83.87
    assert [row.word for row in found.claims] == ["not yet run"]  # two replicates are too few
    assert saving["prac"].steps_saved_of_stopped.value == pytest.approx(1 - 72327 / (7 * 33792))
    assert saving["prac"].passes.value == 4 * 72327
    ticket = {row.arm: row for row in found.tickets}["prac"]
    gaps = [difference(np.array(tests["prac"]), np.array(tests[a])) for a in ("imp", "imp-stopped")]
    assert ticket.non_inferior == all(gap.lower > -0.5 for gap in gaps) == saving["prac"].quoted
    assert ticket.sparsity == pytest.approx(0.7903, abs=1e-4)


def test_means_and_differences_agree_with_scipy():
    from scipy import stats

    rng = np.random.default_rng(5)
    a, b = rng.normal(size=6), rng.normal(0.3, 2, size=4)
    found, wanted = mean(a), stats.ttest_1samp(a, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx(tuple(wanted))
    gap = difference(a, b)
    two = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    one = stats.ttest_ind(a, b, equal_var=False, alternative="greater").confidence_interval(0.95)
    assert (gap.low, gap.high) == pytest.approx((two.low, two.high))
    assert gap.lower == pytest.approx(one.low)
    assert mean(a[:1]).low is None and difference(a, b[:1]).lower is None


@pytest.mark.parametrize(
    ("shares", "word"),
    [
        ((16500, 16400, 16600), "reproduced"),
        ((22000, 22100, 21900), "contradicted"),
        ((16500, 18600, 14400), "inconclusive"),
    ],
)
def test_published_figures_are_met_within_the_tolerance_or_not(shares, word):
    study = mini(
        seeds=3, pruning=Pruning(rounds=2), evaluated=[0, 2], at=2,
        claims=[Claim(what="set-share", level=1, published=36.66, tolerance=2, source="A2")],
        arms=[Arm(name="imp", data="full"), Arm(name="prac", data="prac", stops=True)],
    )  # fmt: skip
    metrics = {"samples": 45000, "epochs": 1, "settled": 0, "test": 90.0, "cet": 1, "cep": 1}
    lines = [
        line(study, arm, level, seed, metrics={**metrics, "set": size}, images=1, steps=1)
        for arm in ("imp", "prac")
        for level in range(2)
        for seed, size in enumerate(shares)
    ]
    (row,) = report["tickets"](study, lines).claims
    assert row.word == word and row.found.n == 3
    assert row.found.value == pytest.approx(100 * np.mean(shares) / 45000)
