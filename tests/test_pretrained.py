"""Studies of pre-trained tickets: their parts, rewinding, plans, stages, statistics and reports."""

import importlib.util
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from lotterybench.errors import BadRecord, BadRequest, BadResults
from lotterybench.keyrings import Keyring
from lotterybench.kinds.pretrained import parts as parts_module
from lotterybench.kinds.pretrained.overlaps import mask_overlap_of, zero_kernels
from lotterybench.kinds.pretrained.parts import images_of, parts_of
from lotterybench.kinds.pretrained.pretraining import encoder_of, learner_of
from lotterybench.kinds.pretrained.retrieval import paired_nearest
from lotterybench.kinds.pretrained.rewinding import (
    copies_of,
    digest_of,
    load_state,
    rewind,
)
from lotterybench.kinds.pretrained.scenes import load_scenes, scenes_of
from lotterybench.kinds.pretrained.setting import NEXT, Setting
from lotterybench.kinds.stages import Here, Stage, carry_out_stages
from lotterybench.kinds.stages.graph import Terms, do
from lotterybench.kinds.stages.training import on_cpu, weights_of
from lotterybench.manifests import find_base, load_keyring
from lotterybench.paths import findings_file, stages_folder
from lotterybench.pruning.functional import held
from lotterybench.pruning.masks import Masks, load
from lotterybench.ranking import noninferiority
from lotterybench.run_study import planned_stages, run_study
from lotterybench.score.studies import report
from lotterybench.studies import Finding, Pruning, Recipe
from lotterybench.studies.pretrained import (
    Canvases,
    PretrainedStudy,
    Pretraining,
    Rounds,
    Target,
    Variant,
)
from lotterybench.tracks import study as studies

SHARES = {"pretraining": 0.4, "finding": 0.3, "downstream": 0.3}


def mini(**changes):
    recipe = Recipe(backbone="resnet8", epochs=1, lr=0.05, batch=64)
    canvases = Canvases(side=16, finding=20, downstream=20, test=20, smallest=0.75, most=2)
    given = {
        "schema_version": 1,
        "name": "mini",
        "version": 1,
        "title": "mini",
        "kind": "pretrained",
        "base": "digits",
        "resolution": 16,
        "seeds": 2,
        "dense": 2,
        "backbone": "resnet8",
        "pretrainings": [
            Pretraining(name="none", method="random-init"),
            Pretraining(
                name="moco-v2",
                method="moco-v2",
                settings={"lr": 0.05, "epochs": 1},
                rounds=Rounds(epochs=1, lr=0.01, batch=64),
            ),
        ],
        "targets": [
            Target(name="classes", task="classification", recipe=recipe),
            Target(name="masks", task="segmentation", recipe=recipe, canvases=canvases),
        ],
        "pruning": Pruning(rounds=2, share=0.36, stem=False),
        "levels": [0, 2],
        "variants": [Variant(how="swap")],
        "perturbed": [2],
        "perturbed_on": ["classes"],
        "crossed": ["none"],
        "transfers": True,
    }
    return PretrainedStudy(**{**given, **changes})


def planned(study, **wanted):
    """Return the stages of a study with these attributes or coordinates."""
    return [
        stage
        for stage in planned_stages(study)
        if all(
            (getattr(stage, k) if k in ("does", "arm", "seed") else stage.of.get(k)) == v
            for k, v in wanted.items()
        )
    ]


# Parts


def test_parts_of_a_base_share_no_key_with_one_another_nor_with_test():
    ring = load_keyring("digits")
    found = parts_of("digits", SHARES, [])
    keys = [set(ring.keys["train"][rows].tolist()) for rows in found.values()]
    for one, other in itertools.combinations([*keys, set(ring.keys["test"].tolist())], 2):
        assert not one & other
    assert sum(map(len, keys)) == len(set(ring.keys["train"].tolist()))
    for share, rows in zip(SHARES.values(), found.values(), strict=True):
        assert len(rows) == pytest.approx(share * 1201, abs=1)


def test_copies_of_an_image_never_end_in_two_parts(monkeypatch):
    """Positions of every key three times, some keys also in the test split and in another base."""
    keys = np.sort(np.repeat(np.arange(40, dtype=np.uint64), 3))
    rings = {
        "digits": Keyring({"train": keys, "test": np.arange(5, dtype=np.uint64)}, {}),
        "other": Keyring(
            {"train": np.arange(5, 8, dtype=np.uint64), "test": np.array([9], np.uint64)}, {}
        ),
    }
    monkeypatch.setattr(parts_module, "load_keyring", rings.__getitem__)
    found = parts_of("digits", SHARES, ["other"])
    in_parts = [set(keys[rows].tolist()) for rows in found.values()]
    assert not set.union(*in_parts) & {0, 1, 2, 3, 4, 5, 6, 7, 9}
    assert sum(map(len, in_parts)) == len(set.union(*in_parts)) == 31
    for rows, kept in zip(found.values(), in_parts, strict=True):
        assert len(rows) == 3 * len(kept), "a copy was left behind"
        assert (np.diff(rows) > 0).all()


def test_a_part_without_images_is_refused():
    with pytest.raises(BadRequest, match="part finding of digits has 1"):
        parts_of("digits", {"pretraining": 0.5, "finding": 0.0008, "downstream": 0.4}, [])


def test_images_are_grown_by_repeating_pixels():
    small, labels = images_of("digits", "test", None, "cpu")
    grown, same = images_of("digits", "test", 16, "cpu")
    assert torch.equal(labels, same)
    assert grown.shape[-2:] == (16, 16)
    for row, column in itertools.product(range(2), repeat=2):
        assert torch.equal(grown[:, :, row::2, column::2], small)
    with pytest.raises(BadRequest, match="cannot be grown to 12"):
        images_of("digits", "test", 12, "cpu")


def test_scenes_of_a_part_show_images_of_that_part_alone(tmp_path):
    [stage] = planned(mini(), does="scenes")
    scenes_of(stage, Here(tmp_path, {}, "cpu"))
    before = (tmp_path / "scenes.safetensors").read_bytes()
    found = parts_of("digits", stage.settings["shares"], stage.settings["others"])
    labels = load_keyring("digits").labels
    for use in ("finding", "downstream", "test"):
        scenes = load_scenes(tmp_path, use, "cpu")
        there = scenes.rows >= 0
        rows = scenes.rows[there].numpy()
        assert len(scenes) == 20
        assert len(rows) >= 20
        split = "test" if use == "test" else "train"
        assert (labels[split][rows] == scenes.labels[there].numpy()).all()
        if use != "test":
            assert set(rows.tolist()) <= set(found[use].tolist())
    scenes_of(stage, Here(tmp_path, {}, "cpu"))
    assert (tmp_path / "scenes.safetensors").read_bytes() == before


# Rewinding


@pytest.mark.parametrize("level", [1, 2])
def test_a_round_starts_at_the_very_bytes_of_the_pretrained_network(tmp_path, level):
    stage = planned(mini(), does="pretask-round", level=level)[0]
    setting = Setting(stage, Here(tmp_path, {}, "cpu"))
    learner = learner_of(setting, mini().pretrainings[1], stage.settings["heads"])
    point = on_cpu(held(learner.encoder))
    for name, value in point.items():  # running statistics and their counter are other as well
        point[name] = torch.full_like(value, 7) if "running" in name else value + 1
    generator = torch.Generator().manual_seed(level)
    weights = weights_of(learner.encoder, setting.pruning)
    assert "stem.conv.weight" in point
    assert "stem.conv.weight" not in weights
    masks = Masks({n: torch.rand(w.shape, generator=generator) < 0.5 for n, w in weights.items()})
    heads = {id(v): v.clone() for v in learner.net.parameters()}
    start = rewind(learner, point, masks)
    [teacher] = copies_of(learner)
    inside = {id(v) for m in (learner.encoder, teacher) for v in m.parameters()}
    for module in (learner.encoder, teacher):
        for name, value in held(module).items():
            wanted = point[name] * masks.kept[name] if name in masks.kept else point[name]
            assert torch.equal(value, wanted), name
        assert digest_of(on_cpu(held(module))) == start
    outside = [v for v in learner.net.parameters() if id(v) not in inside]
    assert outside
    assert all(torch.equal(v, heads[id(v)]) for v in outside), "a head was changed"


def test_every_round_of_a_seed_begins_with_the_same_heads_and_other_seeds_with_others(tmp_path):
    heads = {
        (stage.seed, stage.settings["heads"])
        for stage in planned(mini(), does="pretask-round", init="moco-v2")
    }
    assert len(heads) == 2
    assert len({of for _, of in heads}) == 2


def test_the_first_masks_are_of_the_pretrained_weights_themselves(tmp_path):
    study = mini()
    terms = terms_of(study, tmp_path)
    stage = planned(study, does="pretask-round", level=0)[0]
    do(stage.needs["weights"], terms)
    found = do(stage, terms).finding
    folder = terms.root / stage.key[:20]
    here = Here(folder, {"weights": terms.root / stage.needs["weights"].key[:20]}, "cpu")
    setting = Setting(stage, here)
    encoder = encoder_of(setting, load_state(here.needs["weights"]))
    weights = weights_of(encoder, study.pruning)
    flat = torch.cat([w.detach().abs().flatten() for w in weights.values()])
    kept = torch.cat([m.flatten() for m in load(folder / NEXT).kept.values()])
    assert kept.sum() == round(0.64 * len(flat))
    assert flat[kept].min() >= flat[~kept].max()
    assert found.images == 0


def terms_of(study, folder):
    return Terms(study, find_base(study.base)[0].digest, folder / "stages")


# Plans


def test_a_plan_has_every_stage_once_and_needs_come_first():
    study = mini()
    found = planned_stages(study)
    seen = set()
    for stage in found:
        assert stage.key not in seen
        assert all(need.key in seen for need in stage.needs.values())
        seen.add(stage.key)
    counts = {}
    for stage in found:
        name = stage.does if stage.does != "downstream" else stage.arm
        counts[name] = counts.get(name, 0) + 1
    # 2 seeds; initialisations: none (2 masks found, 1 of another) and moco-v2 (3 masks found)
    assert counts == {
        "scenes": 1,
        "pretraining": 2,
        "pretask-round": 2 * 3,
        "downstream-round": 2 * 2 * 2 * 2,
        "ticket": 2 * 2 * 2 + 2 * 2 * (3 + 3),
        "perturbed": 2,
        "dense": 2 * 2 * 2,
        "mask-overlap": 2 * 2 + 1,
    }


def test_no_two_trainings_share_noise_but_a_variant_and_its_ticket():
    found = planned(mini(), does="downstream")
    noise = {}
    for stage in found:
        assert stage.settings["heads"] == stage.settings["noise"]
        noise.setdefault(stage.settings["noise"], []).append(stage)
    for group in noise.values():
        arms = sorted(stage.arm for stage in group)
        assert arms in (["dense"], ["ticket"], ["perturbed", "ticket"])
    tickets = {stage.seed for stage in found if stage.arm == "ticket"}
    assert not tickets & {stage.seed for stage in found if stage.arm == "dense"}


def test_weights_of_each_seed_are_trained_for_dense_networks_as_well():
    assert {stage.seed for stage in planned(mini(weights="each"), does="pretraining")} == {
        0, 1, 2, 3,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["digits-pretrained-tiny", "cifar-pretrained-16px"])
def test_registered_studies_hold_a_full_matrix(name):
    study = studies[name]
    cells = {
        (stage.of["init"], stage.of["target"], stage.of["mask"], stage.of["level"])
        for stage in planned(study, does="downstream", arm="ticket")
    }
    for how, target, level in itertools.product(
        study.pretrainings, study.targets, study.levels[1:]
    ):
        assert (how.name, target.name, target.name, level) in cells
        if how.rounds:
            assert (how.name, target.name, "pretask", level) in cells
    assert {target.task for target in study.targets} == {
        "classification", "detection", "segmentation",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"pruning": Pruning(rounds=2)}, "first convolution"),
        ({"levels": [0, 1]}, "levels rise"),
        ({"levels": [2]}, "levels rise"),
        ({"crossed": ["byol"]}, "crossed names byol"),
        ({"perturbed": [1]}, "level 1 is perturbed"),
        ({"backbone": "resnet20"}, "another network"),
        ({"targets": mini().targets[:1] * 2}, "two targets"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(changes, says):
    text = json.dumps({**mini().fields(), **changes}, default=lambda record: record.fields())
    with pytest.raises(BadRecord, match=says):
        PretrainedStudy.read(text, "here")


# Level 0 and dense networks


def test_level_0_is_the_dense_network_to_the_byte_under_equal_noise(tmp_path):
    study = mini()
    terms = terms_of(study, tmp_path)
    [ticket] = planned(
        study, does="downstream", arm="ticket", seed=0, init="none", target="classes", level=0
    )
    [dense] = planned(study, does="downstream", arm="dense", seed=2, init="none", target="classes")
    alike = Stage(
        dense.does, dense.arm, dense.seed,
        dense.settings | {k: ticket.settings[k] for k in ("noise", "heads")},
        dense.needs, dense.of,
    )  # fmt: skip
    do(ticket.needs["weights"], terms)
    found = [do(stage, terms).finding for stage in (ticket, alike, dense)]
    assert found[0].metrics == found[1].metrics
    assert found[0].digests == found[1].digests
    assert found[2].digests["start"] == found[0].digests["start"]
    assert found[2].digests["final"] != found[0].digests["final"]


# Retrieval and overlap


def test_retrieval_is_that_of_a_loop():
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(40, 6, generator=generator)
    features = torch.cat([first, first + torch.randn(40, 6, generator=generator)])
    right = 0
    for one in range(80):
        cosines = [
            float(torch.cosine_similarity(features[one], features[other], dim=0))
            if other != one
            else -2
            for other in range(80)
        ]
        right += int(np.argmax(cosines)) == (one + 40) % 80
    assert 0 < right < 80
    assert paired_nearest(features) == pytest.approx(100 * right / 80)
    assert paired_nearest(torch.cat([first, 3 * first])) == 100


def test_masks_agree_with_themselves_and_by_chance_with_others(tmp_path):
    made = {}
    for seed, name in enumerate("abc"):
        generator = torch.Generator().manual_seed(min(seed, 1))
        made[name] = Masks({"w": torch.rand(60, 50, 3, 3, generator=generator) < 0.3})
        (tmp_path / name).mkdir()
        made[name].save(tmp_path / name / NEXT)
    stage = Stage("mask-overlap", "x", 0, {"pairs": [["a", "b"], ["b", "c"]]})
    here = Here(tmp_path, {name: tmp_path / name for name in made}, "cpu")
    found = mask_overlap_of(stage, here).metrics
    assert found["b|c|normalised"] == pytest.approx(1) == found["b|c|jaccard"]
    assert found["a|b|normalised"] == pytest.approx(0, abs=0.02)
    kernels = made["a"].kept["w"].numpy()
    empty = sum(not kernels[i, j].any() for i in range(60) for j in range(50))
    assert found["a|zero-kernels"] == pytest.approx(100 * empty / 3000)


def test_kernels_of_one_weight_are_none():
    assert zero_kernels(Masks({"w": torch.zeros(4, 4, 1, 1, dtype=torch.bool)})) == 0


# Statistics


def test_bounds_and_intervals_are_scipys():
    rng = np.random.default_rng(0)
    one, other = rng.normal(0, 2, 5), rng.normal(1, 1, 8)
    spread = noninferiority.pooled([one, other])
    wanted = stats.ttest_ind(one, other, alternative="greater").confidence_interval(0.95)
    assert spread.df == 11
    assert noninferiority.lower_bound(one, other, spread) == pytest.approx(wanted.low)
    more = noninferiority.pooled([one, other, np.array([3.0]), np.array([])])
    assert more == pytest.approx(spread), "a lone value tells nothing of the spread"
    assert noninferiority.pooled([np.array([1.0])]) is None


def test_a_ladder_stops_at_the_first_level_that_fails():
    said = noninferiority.in_sequence([0.0, -0.4, -0.6, 0.1], 0.5)
    assert said == [True, True, False, None]
    assert noninferiority.in_sequence([None, 0.0], 0.5) == [False, None]
    assert noninferiority.in_sequence([-0.5], 0.5) == [False]
    with pytest.raises(BadRequest, match="margin"):
        noninferiority.in_sequence([0.0], 0)


def simulated(gaps, seeds, dense, times=1500):
    """Return how often each level of a ladder is called non-inferior at a margin of .5."""
    rng = np.random.default_rng(1)
    passed = np.zeros(len(gaps))
    for _ in range(times):
        groups = [rng.normal(gap, 0.4, seeds) for gap in gaps]
        against = rng.normal(0, 0.4, dense)
        spread = noninferiority.pooled([*groups, against])
        bounds = [noninferiority.lower_bound(group, against, spread) for group in groups]
        passed += [said is True for said in noninferiority.in_sequence(bounds, 0.5)]
    return passed / times


def test_a_false_match_is_said_at_most_once_in_twenty():
    assert simulated([0, -0.5, -0.5], 5, 8)[1] <= 0.05 + 3 * (0.05 * 0.95 / 1500) ** 0.5
    found = simulated([-0.5, 0, 0], 5, 8)
    assert found[0] == pytest.approx(0.05, abs=0.018)
    assert (found[1:] <= found[0]).all(), "later levels are not tested after one that fails"


def test_power_is_what_simulation_says():
    told = noninferiority.power_if_equal(noninferiority.Spread(0.4, 11), 5, 8, 0.5)
    assert told == pytest.approx(simulated([0], 5, 8)[0], abs=0.04)
    assert 0.3 < told < 0.9


@pytest.mark.parametrize(("tickets", "dense"), [(3, 3), (5, 8)])
def test_the_papers_rule_passes_equals_as_often_as_it_says(tickets, dense):
    rng = np.random.default_rng(2)
    found = [
        noninferiority.within_sd(rng.normal(size=tickets), rng.normal(size=dense))
        for _ in range(10_000)
    ]
    told = noninferiority.within_sd_if_equal(tickets, dense)
    assert np.mean(found) == pytest.approx(told, abs=0.015)
    assert told > 0.8


# Reports


def found_by(study, stage, metrics, status="ok"):
    return Finding(
        schema_version=1, study=study.name, study_version=1, study_digest=study.digest(),
        key=stage.key, stage=stage.does, arm=stage.arm, of=stage.of, seed=stage.seed,
        status=status, reason=None if status == "ok" else "diverged", metrics=metrics,
        base_digest="0" * 64, device="cpu", software={}, code_digest="0" * 64,
        origin="reference", isolation="self-reported",
    )  # fmt: skip


def invented(study, lost, **failed):
    """Return findings in which a level loses `lost[level]` points; seeds spread by 0.1."""
    found = []
    for stage in planned(study, does="downstream"):
        jitter = 0.1 * (-1) ** stage.seed
        of = study.target(stage.of["target"]).metric
        value = 90 - lost[stage.of["level"]] + jitter - 2 * (stage.arm == "perturbed")
        status = (
            "invalid" if all(stage.of.get(k) == v for k, v in failed.items()) and failed else "ok"
        )
        found.append(found_by(study, stage, {of: value, "density": 0.4}, status))
    return found


def ladder(of, init, mask, target):
    [found] = [
        one for one in of.ladders if (one.init, one.mask, one.target) == (init, mask, target)
    ]
    return found


def test_a_report_says_to_which_level_tickets_match():
    study = mini(seeds=8, dense=8, levels=[0, 1, 2], transfers=False, perturbed=[], crossed=[])
    found = invented(study, {0: 0, 1: 0.2, 2: 3})
    made = report["pretrained"](study, found)
    one = ladder(made, "moco-v2", "pretask", "classes")
    assert [step.non_inferior for step in one.steps] == [True, True, False]
    assert (one.holds_to, one.claim, one.untested) == (1, True, None)
    assert one.steps[1].gap.value == pytest.approx(-0.2)
    assert one.steps[1].gap.low < -0.2 < one.steps[1].gap.high
    assert (one.within_to, one.within_last) == (0, 0), "0.2 is more than one sd of 0.107"
    [universal] = [of for of in made.universal if of.mask == "pretask"]
    assert (universal.holds_to, sorted(universal.targets)) == (1, ["classes", "masks"])
    assert made == report["pretrained"](study, found[::-1]).model_copy(
        update={"ladders": made.ladders, "universal": made.universal}
    )


def test_three_seeds_are_shown_and_not_tested():
    study = mini(seeds=3, dense=8)
    made = report["pretrained"](study, invented(study, {0: 0, 2: 0}))
    for one in made.ladders:
        assert "3 seeds allow no test" in one.untested
        assert "protocol §10" in one.untested
        assert one.holds_to is None
        assert not one.claim
        assert all(step.non_inferior is None and step.bound is not None for step in one.steps)


def test_verdicts_wait_for_every_seed_and_a_failure_is_no_match():
    study = mini(seeds=5, dense=8)
    found = invented(study, {0: 0, 2: 0})
    late = [one for one in found if not (one.of["level"] == 2 and one.seed == 4)]
    one = ladder(report["pretrained"](study, late), "none", "classes", "classes")
    assert (one.untested, one.holds_to) == ("planned seeds have not ended", None)
    broken = invented(study, {0: 0, 2: 0}, init="none", mask="classes", level=2)
    one = ladder(report["pretrained"](study, broken), "none", "classes", "classes")
    assert one.steps[1].failed == 5
    assert (one.steps[1].mean, one.steps[1].non_inferior, one.holds_to) == (None, False, 0)
    assert not one.claim, "8 seeds are needed for a claim"


def test_variants_are_paired_with_their_tickets():
    study = mini(seeds=5, dense=8)
    [made] = report["pretrained"](study, invented(study, {0: 0, 2: 0})).sensitivities
    assert (made.variant, made.init, made.lost.n) == ("swap-0.1", "moco-v2", 5)
    assert made.lost.value == pytest.approx(2)
    assert made.lost.high - made.lost.low == pytest.approx(0, abs=1e-9), "seeds were not paired"


def test_findings_of_another_study_are_refused_and_none_give_an_empty_report():
    study = mini()
    with pytest.raises(BadResults, match="another study than mini"):
        report["pretrained"](mini(seeds=3), invented(study, {0: 0, 2: 0}))
    assert report["pretrained"](study, []).ladders == []


# Pages


@pytest.fixture(scope="module")
def script():
    file = Path(__file__).parents[1] / "benchmark" / "derive" / "pretrained_page.py"
    spec = importlib.util.spec_from_file_location("pretrained_page", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_page_says_what_its_report_says_and_claims_nothing_of_three_seeds(script):
    study = studies["digits-pretrained-tiny"]
    found = invented(study, {0: 0, 1: 0.37, 2: 3})
    made = report["pretrained"](study, found)
    text = script.page(made)
    assert "No match is claimed here: 3 seeds allow no test" in text
    assert "not tested" in text
    assert "None" not in text
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert sum("not tested" in row for row in rows) == len(made.ladders) == 21
    step = ladder(made, "simclr", "pretask", "detection").steps[1]
    assert f"| simclr | pretask | detection | 1 | 41.0% | 3 | {step.mean:.2f} |" in text


# A whole study


@pytest.mark.slow
def test_a_study_that_is_killed_goes_on_to_the_same_bytes(tmp_path):
    study = mini(transfers=False, crossed=[], seeds=1)
    run_study(study, tmp_path / "whole", device="cpu", jobs=2)
    out = tmp_path / "killed" / study.name
    terms = Terms(study, find_base(study.base)[0].digest, stages_folder(out))
    going = carry_out_stages(planned_stages(study), terms, 2)
    for _ in range(12):
        next(going)
    going.close()
    summary = run_study(study, tmp_path / "killed", device="cpu", jobs=1)
    assert 0 < summary.before < summary.planned
    whole, killed = (findings_file(tmp_path / of / study.name) for of in ("whole", "killed"))
    assert killed.read_bytes() == whole.read_bytes()
    found = [Finding.read(line, "here") for line in whole.read_text().splitlines()]
    assert {one.status for one in found} == {"ok"}
    forecast = {stage.key: stage.images for stage in planned_stages(study)}
    views = {"simclr": 2, "moco-v2": 2}  # findings count each view of an image
    for one in found:  # but for copies of images, and the rounding of parts
        each = views.get(one.of.get("init", ""), 1) if one.stage.startswith("pre") else 1
        assert one.images == pytest.approx(each * forecast[one.key], rel=0.02), one.stage
    starts = {
        one.digests["start"]
        for one in found
        if one.stage.startswith("downstream") and one.of["init"] == "none" and not one.of["level"]
    }
    assert len(starts) == 1, "level 0 begins with the pre-trained network everywhere"
    made = report["pretrained"](study, found)
    assert {one.first for one in made.agreements} >= {"none/classes", "moco-v2/pretask"}
    assert {one.level for one in made.pretasks} == {0, 1, 2}
