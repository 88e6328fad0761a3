"""One ticket on many data sets: samples, stages, noise, controls, and the report."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy import stats

from lotterybench.errors import BadRequest, BadResults
from lotterybench.kinds.stages import Here, Stage
from lotterybench.kinds.stages.artefact import folder_of
from lotterybench.kinds.stages.graph import Terms, do
from lotterybench.kinds.stages.training import learner_of, state_of, weights_of
from lotterybench.kinds.transfer.plan import lengthened, noise_of
from lotterybench.kinds.transfer.rounds import start_of
from lotterybench.kinds.transfer.samples import classes_in, held_out_samples, training_samples
from lotterybench.kinds.transfer.setting import Setting
from lotterybench.kinds.transfer.smaller import narrower, prunable_weights
from lotterybench.kinds.transfer.targets import control_masks, plant, shuffled
from lotterybench.manifests import load_keyring
from lotterybench.methods.base.backbones import build
from lotterybench.methods.base.data import batch_sizes
from lotterybench.pruning.masks import Masks
from lotterybench.pruning.masks import load as load_masks
from lotterybench.pruning.prunable import prunable
from lotterybench.ranking.concordance import concordance
from lotterybench.ranking.gain import normalised_gain
from lotterybench.run_study import planned_stages
from lotterybench.score.studies.transfer import report_of
from lotterybench.studies import Finding, Pruning, Recipe
from lotterybench.studies.transfer import Domain, Source, TransferStudy
from lotterybench.studies.transfer_report import TransferReport
from lotterybench.tracks import study

MINI = {
    "schema_version": 1,
    "name": "mini-transfer",
    "version": 1,
    "title": "A few digits",
    "kind": "transfer",
    "base": "digits",
    "seeds": 1,
    "domains": [
        Domain(name="a", base="digits", part="A", each=4),
        Domain(name="low", base="digits", each=8, classes=list("01234")),
    ],
    "recipes": {"sgd": Recipe(backbone="resnet", epochs=2, lr=0.1, batch=20, milestones=[1])},
    "pruning": Pruning(rounds=2, rewind=1),
    "levels": [0, 2],
    "sources": [Source(domain="a"), Source(domain="low"), Source(domain="a", in_each=True)],
    "targets": ["a"],
}


def mini(**changes):
    return TransferStudy.model_validate({**MINI, **changes})


def stage_of(stages, does, arm, **of):
    """Return the one stage of a name and coordinates."""
    found = [
        stage for stage in stages
        if (stage.does, stage.arm) == (does, arm) and of.items() <= stage.of.items()
    ]  # fmt: skip
    assert len(found) == 1
    return found[0]


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Carry out the mini study; return its stages, their findings by key, and its folder."""
    root = tmp_path_factory.mktemp("stages")
    stages = planned_stages(mini())
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    found = {stage.key: do(stage, Terms(mini(), "0" * 64, root)).finding for stage in stages}
    torch.set_num_threads(threads)
    return stages, found, root


# Samples


def test_halves_are_alternate_samples_of_each_class_and_share_no_key():
    keyring = load_keyring("digits")
    labels = keyring.labels["train"]
    halves = [training_samples(Domain(name="x", base="digits", part=part)) for part in "AB"]
    keys = [set(keyring.keys["train"][half.positions].tolist()) for half in halves]
    assert not keys[0] & keys[1]
    assert sorted([*halves[0].positions, *halves[1].positions]) == list(range(len(labels)))
    for label in range(10):
        there = [position for position in range(len(labels)) if labels[position] == label]
        assert [p for p in halves[0].positions if labels[p] == label] == there[::2]


def test_labels_are_numbered_by_the_domain():
    labels = load_keyring("digits").labels["train"]
    five = training_samples(Domain(name="x", base="digits", classes=["7", "3"], each=6))
    assert [int(labels[p]) for p in five.positions] == [(7, 3)[new] for new in five.labels]
    assert np.bincount(five.labels).tolist() == [6, 6]
    parity = Domain(name="x", base="digits", labels="parity")
    found = training_samples(parity)
    assert (found.labels == labels[found.positions] % 2).all() and classes_in(parity) == 2
    tested = held_out_samples(parity)
    assert (tested.labels == load_keyring("digits").labels["test"] % 2).all()


def test_shuffled_labels_keep_their_counts_and_another_seed_shuffles_anew():
    plain, first, second = (
        training_samples(Domain(name="x", base="digits", each=9, **how))
        for how in ({}, {"labels": "shuffled"}, {"labels": "shuffled", "shuffle": 1})
    )
    assert (plain.positions == first.positions).all()
    assert (np.bincount(plain.labels) == np.bincount(first.labels)).all()
    assert (first.labels == plain.labels).mean() < 0.3
    assert (first.labels != second.labels).any()


def test_more_samples_than_a_class_has_are_refused():
    with pytest.raises(BadRequest, match=r"x takes 900 samples of a class; 0 has \d+ in part A"):
        training_samples(Domain(name="x", base="digits", part="A", each=900))


# Plans


@pytest.mark.parametrize(
    "changes",
    [
        {"targets": ["low", "high"]},
        {"sources": [Source(domain="low"), Source(domain="a", in_each=True)]},
        {"sources": [Source(domain="a"), Source(domain="a")]},
        {"sources": [Source(domain="a"), Source(domain="a", updates_of="b")]},
        {"levels": [2, 1]},
        {"levels": [3]},
        {"levels": [-1]},
        {"pruning": Pruning(rounds=2, rewind=2)},
        {"pruning": Pruning(rounds=2, in_each=True)},
        {"controls": ["dense"]},
        {"recipes": {n: Recipe(backbone="resnet", epochs=2, lr=1, width=n) for n in (1, 2)}},
        {"domains": [*MINI["domains"], Domain(name="a", base="digits")]},
        {
            "domains": [Domain(name="a", base="digits", labels="shuffled")],
            "sources": [Source(domain="a")],
        },
    ],
)
def test_plans_that_contradict_themselves_are_refused(changes):
    with pytest.raises(ValidationError):
        mini(**changes)


def test_bases_of_another_shape_are_refused():
    other = Domain(name="c", base="cifar10")
    with pytest.raises(BadRequest, match="c is of cifar10, whose images are RGB"):
        planned_stages(mini(domains=[*MINI["domains"], other]))


@pytest.mark.parametrize("name", ["digits-transfer-tiny", "cifar-transfer-16px"])
def test_the_plan_is_the_whole_matrix_and_every_control(name):
    entry = study[name]
    stages = planned_stages(entry)
    plain = sum(source.plain for source in entry.sources)
    targets, by, levels, seeds = (
        len(entry.targets), len(entry.recipes), len(entry.levels), entry.seeds
    )  # fmt: skip
    count = {
        "transfer-source": len(entry.sources) * by * entry.levels[-1],
        # plain sources × optimisers², the equal-update one with each, the layer-wise on its own
        "transfer": levels * (plain * targets * by**2 + targets * by + by),
        "transfer-control": by * (levels * (4 * (targets + 1) + targets) + targets),
        "transfer-overlap": levels * (by * plain * (plain - 1) // 2 + plain),
    }
    for does, number in count.items():
        assert sum(stage.does == does for stage in stages) == number * seeds, does
    assert len({stage.key for stage in stages}) == len(stages)
    known = set()
    for stage in stages:
        assert {need.key for need in stage.needs.values()} <= known
        known.add(stage.key)


@pytest.mark.parametrize("name", ["cifar-transfer", "cifar-transfer-resnet50"])
def test_the_papers_form_is_planned(name):
    assert len(planned_stages(study[name], seeds=1)) > 800


def test_noise_is_of_the_target_alone():
    """Recipe, head, order and density are the same over sources, and differ between targets."""
    groups = {}
    for stage in planned_stages(study["digits-transfer-tiny"]):
        if stage.does in ("transfer", "transfer-control"):
            of = stage.of
            place = (of["target"], of["by"], of["level"], stage.seed)
            held = {
                name: value for name, value in stage.settings.items()
                if name not in ("control", "level")
            }  # fmt: skip
            groups.setdefault(place, []).append(held)
    assert all(held == group[0] for group in groups.values() for held in group)
    runs = {place: group[0]["run"] for place, group in groups.items()}
    assert len(set(runs.values())) == len(runs)
    assert max(map(len, groups.values())) > 10


def test_noise_changes_with_each_of_its_parts():
    entry = study["digits-transfer-tiny"]
    parts = product(["a", "b"], ["sgd", "adam"], [2, 5], [0, 1])
    runs = {noise_of(entry, *part) for part in parts}
    other = entry.model_copy(update={"version": 2})
    assert len(runs | {noise_of(other, "a", "sgd", 2, 0)}) == 17


@pytest.mark.parametrize("name", ["digits-transfer-tiny", "cifar-transfer-16px"])
def test_equal_updates_are_equal(name):
    entry = study[name]
    source = next(source for source in entry.sources if source.updates_of)
    for by in entry.recipes:
        recipe, pruning = lengthened(entry, source, by)
        own, wanted = (
            len(batch_sizes(len(training_samples(entry.domain(n)).positions), recipe.batch))
            for n in (source.domain, source.updates_of)
        )
        assert own * recipe.epochs == wanted * entry.recipes[by].epochs
        assert own * pruning.rewind == wanted * entry.pruning.rewind
        falls = [epoch * own for epoch in recipe.milestones]
        assert falls == [epoch * wanted for epoch in entry.recipes[by].milestones]


# Stages


def test_every_stage_ends_and_densities_are_exact(done):
    stages, found, _ = done
    for stage in stages:
        finding = found[stage.key]
        assert finding.status == "ok", finding.reason
        if stage.does == "transfer" or stage.arm in ("random", "permuted", "shuffled"):
            assert finding.metrics["kept"] == round(0.8 ** stage.of["level"] * 71_824)


def test_the_native_cell_is_the_diagonal(done):
    stages, found, _ = done
    for name in ("a", "a-layerwise"):
        native = stage_of(stages, "transfer", name, target="a", level=2)
        last = stage_of(stages, "transfer-source", name, level=1)
        assert native.needs["round"] == last
        assert found[native.key].digests["masks"] == found[last.key].digests["next"]


def test_at_level_0_every_control_is_the_dense_network(done):
    stages, found, _ = done
    dense = found[stage_of(stages, "transfer-control", "dense").key]
    for name in ("random", "permuted", "shuffled", "reinitialised"):
        for stage in stages:
            if (stage.arm, stage.of.get("level")) == (name, 0):
                assert found[stage.key].metrics == dense.metrics


def test_stages_repeat_byte_for_byte(done, tmp_path):
    stages, _, root = done
    for stage in [stages[0], stage_of(stages, "transfer-control", "dense")]:
        do(stage, Terms(mini(), "0" * 64, tmp_path))
        for file in folder_of(stage, root).glob("*.safetensors"):
            assert (folder_of(stage, tmp_path) / file.name).read_bytes() == file.read_bytes()


def test_sources_of_a_seed_start_alike_and_rewind_to_their_own_point(done):
    stages, found, root = done
    rounds = [stage_of(stages, "transfer-source", name, level=0) for name in ("a", "low")]
    starts = [start_of(Setting(stage, Here(root, {}, "cpu"))) for stage in rounds]
    assert all(
        torch.equal(value, starts[1][name])
        for name, value in starts[0].items()
        if not name.startswith("@head.")
    )
    overlap = found[stage_of(stages, "transfer-overlap", "overlap", first="a", second="low").key]
    assert overlap.metrics["normalised"] > 0.3


def learner(run="0", **settings):
    """Return a learner of the domain `a` and its setting."""
    domain = Domain(name="a", base="digits", each=4)
    recipe = Recipe(backbone="resnet", epochs=1, lr=0.1)
    stage = Stage(
        "transfer", "a", 0,
        {
            "domain": domain.fields(), "recipe": recipe.fields(), "resolution": None,
            "pruning": Pruning(rounds=2).fields(), **settings,
        },
    )  # fmt: skip
    setting = Setting(stage, Here(Path(), {}, "cpu"))
    return setting, learner_of(setting.task(run), recipe)


def test_a_planted_ticket_has_a_new_head_and_norms_that_remember_nothing():
    _, trained = learner("source")
    with torch.no_grad():
        for value in trained.net.state_dict().values():
            value.copy_(torch.rand_like(value.float()) + 2)
    point = state_of(trained)
    _, target = learner("target")
    fresh = state_of(target)
    plant(target, point)
    now = state_of(target)
    remembered = [name for name in now if "running_" in name or "num_batches" in name]
    assert len(remembered) > 6
    for name, value in now.items():
        from_fresh = name.startswith("@head.") or name in remembered
        assert torch.equal(value, (fresh if from_fresh else point)[name]), name


def test_heads_are_equal_over_sources():
    heads = []
    for seed in ("x", "y"):
        _, target = learner("run")
        plant(target, state_of(learner(seed)[1]))
        heads.append(target.classifier.weight)
    assert torch.equal(*heads)


def test_control_masks_keep_what_they_say():
    setting, net = learner()
    weights = weights_of(net.encoder, setting.pruning)
    native = Masks(
        {
            name: torch.rand(value.shape, generator=torch.Generator().manual_seed(n)) < 0.1 * n
            for n, (name, value) in enumerate(weights.items())
        }
    )
    made = {
        name: control_masks(name, native, net, setting, torch.Generator().manual_seed(5))
        for name in ("random", "permuted", "shuffled", "reinitialised")
    }
    assert made["reinitialised"] == native
    for name in ("random", "permuted"):
        assert made[name].counts == native.counts and made[name] != native
    assert made["shuffled"].remaining == native.remaining
    densities = [
        value for name, value in made["shuffled"].densities.items() if len(weights[name]) > 16
    ]
    assert max(densities) - min(densities) < 0.05


def test_collapsed_tensors_are_those_without_a_weight():
    few = Masks({"a": torch.arange(1000) < 3, "b": torch.zeros(2, dtype=torch.bool)})
    found = shuffled(few, torch.Generator().manual_seed(0))
    assert found.remaining == 3 and found.counts["b"] == 0


@pytest.mark.parametrize("density", [0.64, 0.3, 0.05])
def test_the_small_net_is_the_nearest_narrower_one(density):
    recipe = Recipe(backbone="vgg19-bn", epochs=1, lr=0.1, width=0.5)
    width, count = narrower(recipe, (3, 16, 16), Pruning(rounds=1), density)

    def counted(width):
        net = build("vgg19-bn", in_chans=3, size=16, seed=1, width=width)
        return sum(weight.numel() for weight in prunable(net).values())

    whole = counted(0.5)
    assert count == counted(width) < whole
    best = min(
        (counted(0.5 * n / 32) for n in range(8, 32)),
        key=lambda c: (c >= whole, abs(np.log(c / (density * whole)))),
    )
    assert count == best
    assert abs(np.log(count / (density * whole))) < 0.35


def test_a_net_that_has_nothing_narrower_is_refused():
    recipe = Recipe(backbone="resnet", epochs=1, lr=0.1, width=0.5)
    with pytest.raises(BadRequest, match=r"resnet of width 0\.5 has no narrower net"):
        narrower(recipe, (1, 8, 8), Pruning(rounds=1), 0.5)
    assert prunable_weights(recipe, 1.0, (1, 8, 8), Pruning(rounds=1)) == 71_824


# Statistics


def test_normalised_gains_and_where_they_are_undefined():
    low, high = np.array([10.0, 12, 11]), np.array([20.0, 21, 22])
    assert normalised_gain((low + high) / 2, low, high) == pytest.approx(0.5)
    assert normalised_gain(high + 10, low, high) == pytest.approx(2)
    assert normalised_gain(high, high, low) is None  # the native ticket is worse than chance
    assert normalised_gain(high, low, low) is None
    assert normalised_gain(high[:1], low[:1], high[:1]) is None
    gaps = np.array([0.0, 1, 2])  # mean 1, SE .577: 1.73 of them
    assert normalised_gain(high, low, low + gaps) is None
    assert normalised_gain(high, low, low + gaps / 2 + 0.5) is not None  # 3.46 of them


def test_concordance_is_kendalls():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(5, 7))
    found = concordance(scores)
    rhos = [stats.spearmanr(scores[i], scores[j])[0] for i in range(5) for j in range(i)]
    assert found.w == pytest.approx((1 + 4 * np.mean(rhos)) / 5)
    ranks = np.mean([stats.rankdata(-row) for row in scores], axis=0)
    assert found.ranks == pytest.approx(ranks)
    tied = np.round(scores)
    statistic = stats.friedmanchisquare(*tied.T)[0]  # = judges · (entries − 1) · W
    assert concordance(tied).w == pytest.approx(statistic / (5 * 6))
    assert concordance(np.tile(scores[0], (4, 1))).w == pytest.approx(1)
    assert concordance(np.zeros((3, 4))).w is None
    assert concordance(scores[:1]).w is None


# Report

TWO = {
    "domains": [
        Domain(name="a", base="digits", part="A", each=20),
        Domain(name="b", base="digits", part="B", each=20),
        Domain(name="low", base="digits", each=40, classes=list("01234")),
        Domain(name="half", base="digits", part="A", each=10),
    ],
    "recipes": {
        name: Recipe(backbone="resnet", epochs=2, lr=0.1, batch=20, optimiser=name)
        for name in ("sgd", "adam")
    },
    "pruning": Pruning(rounds=4),
    "levels": [1, 4],
    "sources": [
        *(Source(domain=name) for name in ("a", "b", "low", "half")),
        Source(domain="half", updates_of="a"),
        Source(domain="a", in_each=True),
    ],
    "targets": ["a", "b"],
    "seeds": 3,
}


@pytest.fixture(scope="module")
def synthetic():
    """Return a study and findings of all its stages with accuracies drawn at random."""
    entry = mini(**TWO)
    return entry, [finding_of(entry, stage) for stage in planned_stages(entry)]


def finding_of(entry, stage):
    """Return a finding with a test accuracy that is a hash of the stage."""
    metrics = {"test": 50 + int(stage.key[:6], 16) / 2**20, "kept": 10.0, "collapsed": 0.0}
    if stage.does == "transfer-source":
        domain = entry.domain(stage.settings["domain"]["name"])
        samples = len(training_samples(domain).positions)
        recipe = Recipe(**stage.settings["recipe"])
        metrics |= {
            "samples": samples, "classes": classes_in(domain), "epochs": recipe.epochs,
            "updates": recipe.epochs * samples // 20,
        }  # fmt: skip
    if stage.does == "transfer-overlap":
        metrics = {"jaccard": 0.5, "chance": 0.25, "normalised": int(stage.key[:6], 16) / 2**24}
    if stage.does == "transfer" and stage.arm == stage.of["target"]:
        metrics["test"] += 10
    return Finding(
        schema_version=1, study=entry.name, study_version=1, study_digest=entry.digest(),
        key=stage.key, stage=stage.does, arm=stage.arm, of=stage.of, seed=stage.seed, status="ok",
        metrics=metrics, images=7, base_digest="0" * 64, device="cpu", software={},
        code_digest="0" * 64, origin="test", isolation="self-reported",
    )  # fmt: skip


def accuracies(findings, does, arm, **of):
    return np.array(
        [
            one.metrics["test"]
            for one in sorted(findings, key=lambda one: one.seed)
            if (one.stage, one.arm) == (does, arm) and one.of == of
        ]
    )


def test_cells_are_the_paired_differences(synthetic):
    entry, findings = synthetic
    report = report_of(entry, findings)
    assert len(report.cells) == 2 * (4 * 2 * 4 + 2 * 2 + 2) and report.failed == []
    undefined = 0
    for cell in report.cells:
        place = {"target": cell.target, "by": cell.by, "level": cell.level}
        own = accuracies(findings, "transfer", cell.source, found=cell.found, **place)
        wise = {"layerwise": True} if "layerwise" in cell.source else {}
        random = accuracies(findings, "transfer-control", "random", **place, **wise)
        name = cell.target + ("-layerwise" if wise else "")
        native = accuracies(findings, "transfer", name, found=cell.by, **place)
        assert len(own) == len(random) == len(native) == 3
        bounds = stats.ttest_rel(own, random).confidence_interval(0.95)
        shown = cell.against_random
        assert (shown.value, shown.n) == (pytest.approx((own - random).mean()), 3)
        assert (shown.low, shown.high) == pytest.approx((bounds.low, bounds.high))
        assert cell.native == (cell.source == name and cell.found == cell.by)
        if cell.native:
            assert cell.against_native is None and cell.normalised is None
            continue
        assert cell.against_native.value == pytest.approx((own - native).mean())
        gap = native - random
        clear = gap.mean() >= 2 * gap.std(ddof=1) / 3**0.5
        undefined += not clear
        assert (cell.normalised is not None) == clear
        if clear:
            assert cell.normalised == pytest.approx((own - random).mean() / gap.mean())
    assert 0 < undefined < len(report.cells)


def test_sources_are_pooled_within_seeds(synthetic):
    entry, findings = synthetic
    report = report_of(entry, findings)
    cells = {(c.source, c.target, c.found, c.by, c.level): c for c in report.cells}
    for pooled in report.pooled:
        source = next(source for source in entry.sources if source.name == pooled.source)
        keys = [
            (pooled.source, target, by, by, level)
            for target, by, level in product(entry.targets, entry.recipes, entry.levels)
            if target != source.domain
        ]
        keys = [key for key in keys if key in cells]
        assert pooled.cells == len(keys)
        if not keys:
            assert pooled.source == "a-layerwise" and pooled.against_random is None
            continue
        mean = np.mean([cells[key].against_random.value for key in keys])
        assert pooled.against_random.value == pytest.approx(mean)
        assert pooled.against_random.n == 3
        gains = [cells[key].normalised for key in keys]
        assert pooled.undefined == gains.count(None)
        by_seed = np.zeros(3)
        for key in keys:
            place = {"target": key[1], "by": key[3], "level": key[4]}
            by_seed += accuracies(findings, "transfer", key[0], found=key[2], **place) / len(keys)
            by_seed -= accuracies(findings, "transfer-control", "random", **place) / len(keys)
        low = stats.ttest_1samp(by_seed, 0).confidence_interval(0.95).low
        assert pooled.against_random.low == pytest.approx(low)


def test_ranking_trends_contrasts_areas_and_optimisers(synthetic):
    entry, findings = synthetic
    report = report_of(entry, findings)
    cells = {(c.source, c.target, c.found, c.by, c.level): c for c in report.cells}
    scores = np.array(
        [
            [
                np.mean([c.accuracy.value for c in report.cells
                         if (c.source, c.target) == (name, target) and c.found == c.by])
                for name in ("a", "b", "low", "half")
            ]
            for target in ("a", "b")
        ]
    )  # fmt: skip
    ranks = dict(zip(("a", "b", "low", "half"), concordance(scores).ranks, strict=True))
    assert {place.source: place.rank for place in report.ranking.places} == ranks
    assert report.ranking.w == pytest.approx((1 + stats.spearmanr(*scores)[0]) / 2)
    points = {one.source: one.against_random.value for one in report.pooled if one.against_random}
    y = [points[name] for name in ("a", "b", "low", "half")]
    size, classes = report.trends
    assert size.rho == pytest.approx(stats.spearmanr([200, 200, 200, 100], y)[0])
    assert classes.rho == pytest.approx(stats.spearmanr([10, 10, 5, 10], y)[0])
    assert (size.n, size.values) == (4, 2) and "4 sources of 2" in size.caution
    questions = [(one.question, one.first, one.second) for one in report.contrasts]
    assert questions == [
        ("updates", "half-updates-of-a", "half"),
        ("samples, equal updates", "half-updates-of-a", "a"),
        ("samples, equal epochs", "half", "a"),
        ("layer-wise", "a-layerwise", "a"),
        ("classes", "low", "a"),
        ("classes", "low", "b"),
    ]
    # only b is the own domain of neither; both optimisers, both levels
    assert [one.cells for one in report.contrasts] == [8, 4, 4, 4, 4, 4]
    fewer = report.contrasts[1]
    expected = np.mean(
        [
            cells["half-updates-of-a", "b", by, by, level].accuracy.value
            - cells["a", "b", by, by, level].accuracy.value
            for by, level in product(("sgd", "adam"), (1, 4))
        ]
    )
    assert fewer.difference.value == pytest.approx(expected)
    for area in report.areas:
        pair = [cells[area.source, area.target, area.found, area.by, level] for level in (1, 4)]
        assert area.accuracy.value == pytest.approx(np.mean([c.accuracy.value for c in pair]))
    for one in report.optimisers:
        inside = [
            c.against_random.value for c in report.cells
            if (c.found, c.by) == (one.found, one.by) and c.source in points
            and c.source != c.target and "updates" not in c.source
        ]  # fmt: skip
        assert one.cells == len(inside) == 2 * (3 + 3)
        assert one.against_random.value == pytest.approx(np.mean(inside))


def test_controls_are_compared_with_native_tickets(synthetic):
    entry, findings = synthetic
    report = report_of(entry, findings)
    for one in report.controls:
        pairs = []
        for target, by, level in product(entry.targets, entry.recipes, entry.levels):
            at = 0 if one.control == "dense" else level
            native = accuracies(findings, "transfer", target, target=target, found=by, by=by,
                                level=level)  # fmt: skip
            other = accuracies(findings, "transfer-control", one.control, target=target, by=by,
                               level=at)  # fmt: skip
            pairs.append(native - other)
        assert one.cells == len(pairs)
        assert one.native_less.value == pytest.approx(np.mean(pairs))


def test_a_failure_leaves_its_seed_out_and_is_named(synthetic):
    entry, findings = synthetic
    place = next(n for n, one in enumerate(findings) if one.stage == "transfer" and one.seed == 1)
    gone = findings[place].model_copy(update={"status": "invalid", "reason": "loss", "metrics": {}})
    report = report_of(entry, [*findings[:place], gone, *findings[place + 1 :]])
    assert len(report.failed) == 1 and "seed 1: invalid (loss)" in report.failed[0]
    cell = next(
        cell for cell in report.cells
        if (cell.source, cell.target, cell.found, cell.by, cell.level)
        == (gone.arm, gone.of["target"], gone.of["found"], gone.of["by"], gone.of["level"])
    )  # fmt: skip
    assert cell.accuracy.n == 2


def test_findings_of_another_study_and_none_are_refused(synthetic):
    entry, findings = synthetic
    with pytest.raises(BadResults, match="another study"):
        report_of(mini(version=2), findings)
    with pytest.raises(BadResults, match="run it first"):
        report_of(entry, [])


# Kill and repeat

RUN = """
import sys
from pathlib import Path
import test_transfer
from lotterybench.run_study import run_study
if __name__ == "__main__":
    run_study(test_transfer.mini(), Path(sys.argv[1]), device="cpu", jobs=1, every=0.0)
"""


@pytest.mark.slow
def test_a_killed_study_goes_on_to_the_same_bytes(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(RUN)
    here = Path(__file__).parent
    paths = os.pathsep.join([str(here), str(here.parent / "benchmark")])
    env = {**os.environ, "PYTHONPATH": paths}

    def started(out):
        return subprocess.Popen([sys.executable, script, out], env=env, start_new_session=True)

    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert started(whole).wait(300) == 0
    running = started(cut)
    until = time.monotonic() + 300
    while len(list(cut.glob("*/stages/*/done.json"))) < 5:
        assert running.poll() is None and time.monotonic() < until
        time.sleep(0.01)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    assert not list(cut.glob("*/findings.jsonl"))
    assert started(cut).wait(300) == 0
    file = "mini-transfer/findings.jsonl"
    assert (cut / file).read_bytes() == (whole / file).read_bytes()
    assert len((whole / file).read_text().splitlines()) == len(planned_stages(mini()))


def test_masks_of_a_round_lie_within_the_last(done):
    stages, _, root = done
    for name in ("a", "low", "a-layerwise"):
        first, second = (
            load_masks(folder_of(stage_of(stages, "transfer-source", name, level=n), root)
                       / "next.safetensors")
            for n in (0, 1)
        )  # fmt: skip
        assert (first & second) == second


# The page


def test_the_page_tells_the_report(synthetic):
    path = Path(__file__).parents[1] / "benchmark" / "derive" / "transfer_page.py"
    spec = importlib.util.spec_from_file_location("transfer_page", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    entry, findings = synthetic
    report = report_of(entry, findings)
    again = TransferReport.read(report.pretty(), "report")
    text = module.page(entry, again)
    assert again == report and text == module.page(entry, report)
    for one in report.pooled:
        if one.cells:
            shown = one.against_random
            row = next(line for line in text.splitlines() if line.startswith(f"| {one.source} |"))
            assert f"{shown.value:.2f} ({shown.low:.2f} – {shown.high:.2f})" in row
            assert f"| {one.cells} | 3 |" in row
    assert "4 sources of 2 different values describe" in text
    alone = report_of(entry, [one for one in findings if one.seed == 0])
    assert "(" not in module.pooled_table(alone) and "nan" not in module.page(entry, alone)
