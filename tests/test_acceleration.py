"""Studies of accelerated training: records, plans, samples, maps, stages, reports, pages."""

import hashlib
import importlib.util
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy import stats

from lotterybench.errors import BadRequest, BadResults, LotteryBenchError
from lotterybench.kinds.acceleration.costs import equal_cost, lengths, passes_of_prior
from lotterybench.kinds.acceleration.maps import mean_explained, variance_explained
from lotterybench.kinds.acceleration.probing import Looks, moments
from lotterybench.kinds.acceleration.runs import arm_of
from lotterybench.kinds.acceleration.sampling import distinct, shown_to
from lotterybench.kinds.acceleration.setting import Setting
from lotterybench.kinds.acceleration.targets import load_targets
from lotterybench.kinds.acceleration.teaching import learner_of
from lotterybench.kinds.acceleration.tuning import halves, rate_of
from lotterybench.kinds.stages import Here, carry_out_stages
from lotterybench.kinds.stages.artefact import folder_of
from lotterybench.kinds.stages.graph import Terms, do
from lotterybench.kinds.transfer.samples import training_samples
from lotterybench.manifests import find_base, load_keyring
from lotterybench.methods.base.shape import stream
from lotterybench.paths import findings_file, stages_folder
from lotterybench.run_study import planned_stages, run_study
from lotterybench.score.studies import report
from lotterybench.score.studies.acceleration_scores import two_sided
from lotterybench.studies import Finding, read_study
from lotterybench.studies.acceleration import (
    ESSENTIAL,
    FORMS,
    REQUIRED,
    AccelerationStudy,
    Compared,
    Source,
    Training,
)
from lotterybench.studies.acceleration_report import AccelerationReport
from lotterybench.studies.transfer import Domain
from lotterybench.tracks import study as studies

A = Domain(name="a", base="digits", part="A", each=6)
B = Domain(name="b", base="digits", part="B", each=5)
BYOL = Training(method="byol", backbone="resnet", epochs=4, lr=0.1, batch=20)
OTHER = Source(
    name="other", how="trained", domain=B, training=BYOL.model_copy(update={"epochs": 5})
)
RANDOM = Source(name="random", how="random", backbone="resnet")
FULL = Compared(name="byol", training=BYOL, arms=list(FORMS), priors=["other", "random"])
NAMED = [
    "digits-rela-tiny", "cifar10-rela-16px", "cifar100-rela-16px", "cifar10-rela", "cifar100-rela",
]  # fmt: skip


def mini(**changes):
    given = {
        "schema_version": 1, "name": "mini-rela", "version": 1, "title": "A few digits",
        "kind": "acceleration", "base": "digits", "seeds": 1, "domain": A,
        "priors": [OTHER, RANDOM], "methods": [FULL], "budgets": [0.2, 0.5], "looks": 2,
        "bank": 30, "queries": 20,
    }  # fmt: skip
    return AccelerationStudy(**{**given, **changes})


def changed(one, **update):
    return type(one).model_validate({**one.model_dump(), **update})


def stage_of(study, does="accelerated", seed=0, **wanted):
    """Return the one stage of a study with this name, arm and coordinates."""
    arm = wanted.pop("arm", None)
    [found] = [
        stage
        for stage in planned_stages(study)
        if stage.does == does
        and stage.seed == seed
        and arm in (None, stage.arm)
        and wanted.items() <= stage.of.items()
    ]
    return found


# Records


def test_the_record_reads_back_and_defaults_leave_no_trace():
    for name in NAMED:
        entry = studies[name]
        again = read_study(entry.pretty(), name)
        assert again == entry
        assert again.digest() == entry.digest()
    assert mini(primary=0.5, share=0.25).digest() == mini().digest()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"domain": Domain(name="a", base="cifar10")}, "own classes"),
        ({"domain": Domain(name="a", base="digits", labels="parity")}, "own classes"),
        ({"budgets": [0.5, 0.2]}, "rise"),
        ({"budgets": [0.2]}, "is one of them"),
        ({"budgets": [0.5, 1.0]}, "between 0 and 1"),
        ({"priors": [OTHER, OTHER, RANDOM]}, "one name"),
        ({"methods": [FULL, FULL]}, "one name"),
        ({"priors": [OTHER]}, "random, which is none of other"),
        ({"share": 0.1}, "no epoch of stage 1"),
        ({"share": 1.0}, "less than 1"),
        (
            {"methods": [FULL.model_copy(update={"priors": ["other"]})]},
            r"no prior with random weights \(protocol §10\)",
        ),
        (
            {"methods": [FULL.model_copy(update={"priors": ["random", "other"]})]},
            r"control \(protocol §10\)",
        ),
        *(
            (
                {"methods": [FULL.model_copy(update={"arms": [a for a in FORMS if a != arm]})]},
                rf"byol lacks the arms {arm} \(protocol §10\)",
            )
            for arm in REQUIRED
        ),
    ],
)
def test_studies_that_contradict_themselves_are_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        mini(**changes)


@pytest.mark.parametrize(
    ("update", "message"),
    [
        ({"rates": [0.1]}, "at least two"),
        ({"rates": [0.1, -0.1]}, "above 0"),
        ({"rates": [0.1, 0.1]}, "two rates are one"),
        ({"priors": ["other", "other"]}, "two priors are one"),
        ({"arms": ["base-full"]}, r"lacks the arms base-shorter, base-redrawn, rela-redrawn"),
    ],
)
def test_methods_that_contradict_themselves_are_refused(update, message):
    with pytest.raises(ValidationError, match=message):
        changed(FULL, **update)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"how": "random"}, "random and has nothing; it takes backbone"),
        ({"how": "trained", "domain": B}, "it takes domain and training"),
        ({"how": "model", "backbone": "resnet"}, "model and has backbone; it takes model"),
    ],
)
def test_priors_have_what_they_are_made_of_and_nothing_else(given, message):
    with pytest.raises(ValidationError, match=message):
        Source(name="x", **given)


def test_priors_of_another_shape_are_refused():
    strange = OTHER.model_copy(update={"domain": Domain(name="c", base="cifar10", each=5)})
    with pytest.raises(BadRequest, match="other is of cifar10, whose images are RGB"):
        planned_stages(mini(priors=[strange, RANDOM]))


@pytest.mark.parametrize(
    ("update", "message"),
    [
        ({"method": "random-init"}, "random-init does not train by steps"),
        ({"settings": {"temperature": 1}}, "byol has no setting temperature here; it has"),
        ({"settings": {"epochs": 3}}, "byol has no setting epochs here"),
        ({"method": "bjol"}, "bjol"),
        ({"backbone": "rosnet"}, "rosnet"),
    ],
)
def test_methods_that_cannot_be_trained_are_refused_by_the_plan(update, message):
    training = changed(BYOL, **update)
    for entry in (
        mini(methods=[changed(FULL, training=training)]),
        mini(priors=[changed(OTHER, training=training), RANDOM]),
    ):
        with pytest.raises(LotteryBenchError, match=message):
            planned_stages(entry)


# Plans


@pytest.mark.parametrize("name", NAMED)
def test_the_plan_has_every_arm_of_the_protocol(name):
    entry = studies[name]
    stages = planned_stages(entry)
    first = entry.methods[0]
    for method, seed in itertools.product(entry.methods, range(entry.seeds)):
        there = {
            (one.arm, one.of.get("prior"), one.of["budget"])
            for one in stages
            if one.does == "accelerated" and one.of["method"] == method.name and one.seed == seed
        }
        wanted = REQUIRED if method == first else ESSENTIAL
        assert {arm for arm, _, budget in there if budget == entry.primary} >= set(wanted)
        for budget in entry.budgets:
            assert ("base-redrawn", None, budget) in there
            for prior in method.priors:
                assert ("rela-redrawn", prior, budget) in there
        for arm in method.arms:
            if FORMS[arm].targets != "none":
                assert (arm, method.main, entry.primary) in there
    assert len({stage.key for stage in stages}) == len(stages)
    known = set()
    for stage in stages:
        assert {need.key for need in stage.needs.values()} <= known
        known.add(stage.key)


@pytest.mark.parametrize("name", NAMED)
def test_arms_of_a_budget_take_equal_steps(name):
    entry = studies[name]
    count = len(training_samples(entry.domain).positions)
    for stage in planned_stages(entry, seeds=1):
        if stage.does == "accelerated":
            full = stage.arm in ("base-full", "rela-full")
            whole = entry.methods[0].training.epochs * count
            if stage.arm == "base-equal-cost":
                assert stage.images > whole * entry.primary
            else:
                assert stage.images == (whole if full else round(stage.of["budget"] * whole))


def test_equal_cost_pays_for_the_prior():
    entry = studies["cifar10-rela-16px"]
    byol, whole = entry.methods[0], 3 * 2 * 10_000  # three passes, two views, one epoch
    spent = 60 * whole / 2 + 10_000 + 40 * whole  # the half, the pass for targets, the prior
    assert passes_of_prior(entry, entry.priors[0]) == 10_000 + 40 * whole
    assert passes_of_prior(entry, entry.prior("random")) == 10_000
    assert equal_cost(entry, byol, "cifar100") == round(spent / whole) == 70
    assert equal_cost(entry, byol, "random") == 30, "which base-shorter is"
    assert lengths(entry, byol, FORMS["base-equal-cost"], 0.5) == {70: "cifar100"}
    supervised = entry.priors[0].training.model_copy(update={"views": 1})
    cheaper = entry.priors[0].model_copy(update={"training": supervised})
    assert passes_of_prior(entry, cheaper) == 10_000 + 40 * whole // 2


def test_a_prior_is_one_for_all_seeds_or_each_seeds_own():
    for how, number in (("one", 1), ("each", 3)):
        stages = planned_stages(mini(seeds=3, prior_seeds=how))
        for does, per in (("prior", 2), ("prior-targets", 2), ("linear-map", 1)):
            assert sum(stage.does == does for stage in stages) == per * number
        used = {
            (stage.seed, stage.needs["targets"].needs["prior"].seed)
            for stage in stages
            if "targets" in stage.needs
        }
        assert used == {(n, n if how == "each" else 0) for n in range(3)}


def test_rates_are_tried_apart_from_what_is_scored():
    tuned = mini(methods=[changed(FULL, rates=[0.1, 0.2])], seeds=2)
    stages = planned_stages(tuned)
    trials = [stage for stage in stages if stage.does == "tuning"]
    assert [stage.settings["lr"] for stage in trials] == [0.1, 0.2]
    scored = [stage for stage in stages if stage.does == "accelerated"]
    assert {stage.needs["rate"].key for stage in scored} == {
        stage.key for stage in stages if stage.does == "rate"
    }
    draws = {stage.seed: stage.settings["draws"] for stage in scored}
    assert len({*draws.values(), trials[0].settings["draws"]}) == 3
    assert all(stage.settings["draws"] == draws[stage.seed] for stage in scored)


# Samples


def setting_of(stage, folder=Path()):
    return Setting(stage, Here(folder, {}, "cpu"))


def test_redrawn_samples_are_those_with_the_smallest_hashes():
    stage = stage_of(mini(), arm="base-redrawn", budget=0.2)
    setting = setting_of(stage)
    data = shown_to(setting, "redrawn", 0.2)
    keys = load_keyring("digits").keys["train"]
    rows = training_samples(A).positions
    seed, union = stream(stage.settings["draws"], "samples"), set()
    for epoch in range(4):

        def place(row, epoch=epoch):
            start = f"{seed}|{epoch}|".encode()
            return hashlib.sha256(start + int(keys[row]).to_bytes(8, "big")).digest()

        wanted = sorted(sorted(rows, key=place)[: len(rows) // 5])
        assert data.draws(epoch).tolist() == wanted
        union |= set(wanted)
    assert data.count == 12
    assert distinct(data, 4) == len(union) > 12
    fixed = shown_to(setting, "fixed", 0.2)
    assert fixed.draws(3).tolist() == data.draws(0).tolist()
    assert distinct(fixed, 4) == 12
    assert distinct(shown_to(setting, "full", 0.2), 4) == 60


def test_one_in_ten_is_held_out_to_judge_a_rate():
    kept, held = halves(torch.arange(60) * 3)
    assert len(held) == 6
    assert sorted([*kept.tolist(), *held.tolist()]) == [3 * n for n in range(60)]


@pytest.mark.parametrize(
    ("tried", "best"),
    [([(0.1, 50), (0.2, 60)], 0.2), ([(0.3, 60), (0.2, 60), (0.4, 1)], 0.2), ([(0.1, 0)], 0.1)],
)
def test_the_best_rate_is_chosen_and_the_lower_of_equals(tmp_path, tried, best):
    needs = {}
    for number, (lr, knn) in enumerate(tried):
        needs[f"trial-{number}"] = tmp_path / str(number)
        needs[f"trial-{number}"].mkdir()
        (tmp_path / str(number) / "rate.json").write_text(json.dumps({"lr": lr, "knn": knn}))
    made = rate_of(stage_of(mini(), arm="base-full"), Here(tmp_path, needs, "cpu"))
    assert made.metrics == {"lr": best, "knn": dict(tried)[best]}


def test_looks_are_evenly_spaced_and_end_at_the_end():
    assert moments(60, 6) == [10, 20, 30, 40, 50, 60]
    assert moments(3, 6) == [1, 2, 3]
    assert moments(1, 6) == [1]
    for epochs, looks in itertools.product(range(1, 50), range(1, 9)):
        assert moments(epochs, looks)[-1] == epochs


def test_looks_are_kept_by_a_checkpoint():
    first, second = (Looks(None, None, 2, [1, 2], 1, 1) for _ in range(2))
    second.restore(first.state())
    assert second.found == {}
    first.found = {1: 33.25, 10: 0.1 + 0.2}
    second.restore(first.state())
    assert second.metrics() == {"knn-after-1": 33.25, "knn-after-10": 0.1 + 0.2}


# Maps


def least_squares(x, queries, y, answers):
    """Return R² by numpy, a column of ones for the offset."""
    wide, over = (np.column_stack([of, np.ones(len(of))]) for of in (x, queries))
    weights = np.linalg.lstsq(wide, y, rcond=None)[0]
    rest = ((answers - over @ weights) ** 2).sum(0)
    total = ((answers - answers.mean(0)) ** 2).sum(0)
    return 1 - rest.sum() / total.sum(), np.mean(1 - rest / total)


@pytest.mark.parametrize("dead", [False, True])
def test_maps_are_those_of_least_squares(dead):
    rng = np.random.default_rng(3)
    x, queries = rng.normal(2, 1, (80, 6)), rng.normal(2, 1, (40, 6))
    if dead:  # a feature that is always 0, and a copy of another
        for of in (x, queries):
            of[:, 1], of[:, 2] = 0, of[:, 3]
    y, answers = (np.tanh(of @ rng.normal(size=(6, 4))) * [1, 5, 0.1, 2] for of in (x, queries))
    tensors = [torch.from_numpy(of) for of in (x, queries, y, answers)]
    wanted = least_squares(x, queries, y, answers)
    assert variance_explained(*tensors) == pytest.approx(wanted[0], rel=1e-6)
    assert mean_explained(*tensors) == pytest.approx(wanted[1], rel=1e-6)


def test_a_linear_map_is_found_whole_and_noise_is_not():
    generator = torch.Generator().manual_seed(0)
    x, queries = torch.randn(300, 5, generator=generator), torch.randn(100, 5, generator=generator)
    weights = torch.randn(5, 3, generator=generator)
    assert variance_explained(x, queries, x @ weights + 7, queries @ weights + 7) > 1 - 1e-10
    order = torch.randperm(300, generator=generator)
    assert variance_explained(x, queries, (x @ weights)[order], queries @ weights) < 0.05
    dead = torch.cat((x @ weights, torch.zeros(300, 1)), 1)
    answers = torch.cat((queries @ weights, torch.zeros(100, 1)), 1)
    assert mean_explained(x, queries, dead, answers) > 1 - 1e-10, "a dead dimension counts not"


# Stages


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Carry out the priors, their targets and map, a trial, and some arms; return all of it."""
    root = tmp_path_factory.mktemp("stages")
    entry = mini()
    arms = ("rela-shuffled", "rela-adaptive", "rela-fixed", "base-mild-views")
    kept = {
        stage.key: stage
        for stage in planned_stages(entry)
        if stage.does != "accelerated" or stage.arm in arms
    }
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    terms = Terms(entry, find_base("digits")[0].digest, root)
    stages = list(kept.values())
    found = [do(stage, terms).finding for stage in stages]
    torch.set_num_threads(threads)
    return stages, found, root


def found_of(done, **wanted):
    stages, findings, _ = done
    [found] = [
        (stage, finding)
        for stage, finding in zip(stages, findings, strict=True)
        if all(getattr(finding, k, None) == v or finding.of.get(k) == v for k, v in wanted.items())
    ]
    return found


def test_stages_end_and_count_what_they_cost(done):
    for finding in done[1]:
        assert finding.status == "ok", finding.reason
    _, prior = found_of(done, stage="prior", arm="other")
    assert (prior.images, prior.steps) == (2 * 5 * 50, 5 * 3)
    _, random = found_of(done, stage="prior", arm="random")
    assert random.images == random.steps == 0
    assert random.metrics["linear"] > 10, "ten classes"
    _, targets = found_of(done, stage="prior-targets", arm="other")
    assert (targets.looked, targets.images) == (60, 0), "one pass over the samples"
    _, fixed = found_of(done, stage="accelerated", arm="rela-fixed")
    assert (fixed.images, fixed.steps) == (2 * 4 * 30, 4 * 2)
    assert fixed.metrics["shown"] == 0.5
    assert fixed.metrics["switch_step"] == 2, "after one of four epochs of two steps"
    assert set(fixed.metrics) >= {"knn", "linear", "knn-after-2", "knn-after-4"}
    _, adaptive = found_of(done, stage="accelerated", arm="rela-adaptive")
    assert "switch_step" not in adaptive.metrics, "eight steps are too few"
    _, mild = found_of(done, stage="accelerated", arm="base-mild-views")
    assert "switch_step" not in mild.metrics
    assert mild.images == fixed.images


def test_targets_are_white_on_the_samples_and_shuffled_ones_are_the_same_elsewhere(done):
    _, _, root = done
    stage, _ = found_of(done, stage="prior-targets", arm="other")
    values = load_targets(folder_of(stage, root)).double()
    assert len(values) == 60
    alive = values.square().mean(0) > 0
    covariance = values[:, alive].T @ values[:, alive] / 60
    assert torch.allclose(covariance, torch.eye(len(covariance)).double(), atol=0.02)
    assert values.mean(0).abs().max() < 0.01

    shuffled, _ = found_of(done, stage="accelerated", arm="rela-shuffled")
    setting = Setting(shuffled, Here(root, {"targets": folder_of(stage, root)}, "cpu"))
    from lotterybench.kinds.acceleration import runs

    moved = runs._targets(setting, FORMS["rela-shuffled"])[setting.train.rows].double()
    same = runs._targets(setting, FORMS["rela-redrawn"])[setting.train.rows].double()
    assert torch.equal(same, values)
    assert not torch.equal(moved, values)
    assert sorted(map(tuple, moved.tolist())) == sorted(map(tuple, values.tolist()))


def test_a_stage_repeats_byte_for_byte(done, tmp_path):
    stages, _, root = done
    terms = Terms(mini(), find_base("digits")[0].digest, tmp_path)
    for stage in stages:
        if stage.does in ("prior", "prior-targets") and stage.arm == "random":
            do(stage, terms)
            for file in folder_of(stage, root).glob("*.safetensors"):
                again = folder_of(stage, tmp_path) / file.name
                assert again.read_bytes() == file.read_bytes()


def test_the_mild_control_has_the_networks_of_its_method_alone(done):
    stage = stage_of(mini(), arm="base-mild-views")
    setting = setting_of(stage)
    task = setting.task(shown_to(setting, "redrawn", 0.5))
    learner = arm_of(setting, FORMS["base-mild-views"], setting.training(), task)
    plain = learner_of(setting.training(), setting.task(shown_to(setting, "redrawn", 0.5)))
    own = {id(value) for value in learner.net.parameters()}
    assert len(own) == len(list(plain.net.parameters()))


def test_views_that_are_not_those_of_the_record_are_refused():
    setting = setting_of(stage_of(mini(), arm="base-full"))
    task = setting.task(setting.data())
    with pytest.raises(BadRequest, match="byol trains on 2 views of an image, and the study says"):
        learner_of(BYOL.model_copy(update={"views": 1}), task)
    with pytest.raises(BadRequest, match="random-init does not train by steps"):
        learner_of(changed(BYOL, method="random-init"), task)


def test_a_constant_rate_and_another_optimiser_are_the_records():
    setting = setting_of(stage_of(mini(), arm="base-full"))
    task = setting.task(setting.data())
    update = {"constant": True, "optimiser": "adamw", "weight_decay": 0.01}
    schedule = learner_of(BYOL.model_copy(update=update), task).schedule
    assert (schedule.optimiser, schedule.weight_decay) == ("adamw", 0.01)
    assert {schedule.rate(step, 100) for step in range(100)} == {1.0}


def test_a_model_that_is_not_at_hand_stops_the_study_with_one_line(tmp_path):
    model = Source(name="m", how="model", model="ours:/nowhere/prior.safetensors")
    entry = mini(
        priors=[OTHER, model, RANDOM], methods=[changed(FULL, priors=["other", "m", "random"])]
    )
    first = planned_stages(entry)[0]
    assert (first.does, first.arm) == ("prior", "m"), "it is looked for before anything is trained"
    with pytest.raises(BadRequest) as error:
        do(first, Terms(entry, find_base("digits")[0].digest, tmp_path))
    assert len(str(error.value).splitlines()) == 1


# Reports


def finding_of(study, stage, metrics, images=0, looked=0, status="ok"):
    return Finding(
        schema_version=1, study=study.name, study_version=1, study_digest=study.digest(),
        key=stage.key, stage=stage.does, arm=stage.arm, of=stage.of, seed=stage.seed,
        status=status, reason=None if status == "ok" else "diverged", metrics=metrics,
        images=images, looked=looked, base_digest="0" * 64, device="cpu", software={},
        code_digest="0" * 64, origin="reference", isolation="self-reported",
    )  # fmt: skip


def invented(study, gain, noise=0.3, seed=0):
    """Return findings in which targets of a prior that was trained add `gain` points."""
    rng, found = np.random.default_rng(seed), []
    for stage in planned_stages(study):
        metrics, images, looked = {}, 2 * stage.images, 0
        if stage.does == "accelerated":
            targets = FORMS[stage.arm].targets == "prior" and stage.of["prior"] != "random"
            linear = 60 + gain * targets + noise * rng.normal()
            metrics = {
                "linear": linear, "knn": linear - 5, "shown": 1 - 0.5 ** stage.of["epochs"],
                "lr": 0.1, "samples": 60, "knn-after-2": 40, f"knn-after-{stage.of['epochs']}": 50,
            }  # fmt: skip
            if FORMS[stage.arm].targets != "none" and stage.arm != "rela-stage-1":
                metrics["switch_step"] = 7
            if stage.arm == "rela-adaptive" and stage.seed:
                del metrics["switch_step"]
        elif stage.does == "prior":
            metrics = {"linear": 70, "knn": 65, "width": 64}
        elif stage.does == "prior-targets":
            metrics, looked = {"dimension": 64, "samples": 60}, 60
        elif stage.does == "linear-map":
            names = ("r2", "whitened", "shuffled")
            metrics = {
                f"{way}-{name}": number / 10 + (way == "back") / 100
                for way in ("there", "back")
                for number, name in enumerate(names)
            }
        elif stage.does in ("tuning", "rate"):
            metrics = {"lr": stage.settings.get("lr", 0.2), "knn": 30}
        found.append(finding_of(study, stage, metrics, images, looked))
    return found


def values(found, arm, prior=None, budget=0.5, method="byol"):
    """Return linear accuracies by seed, by hand."""
    return np.array(
        [
            one.metrics["linear"]
            for one in sorted(found, key=lambda one: one.seed)
            if one.stage == "accelerated"
            and one.arm == arm
            and one.of.get("prior") == prior
            and (one.of["budget"], one.of["method"]) == (budget, method)
        ]
    )


@pytest.fixture(scope="module")
def told():
    """Return a study of two methods and four seeds, its findings, and their report."""
    simclr = Compared(
        name="simclr", training=BYOL.model_copy(update={"method": "simclr"}),
        arms=[*ESSENTIAL], priors=["other", "random"], rates=[0.1, 0.2],
    )  # fmt: skip
    entry = mini(seeds=4, methods=[FULL, simclr])
    found = invented(entry, gain=3)
    return entry, found, report["acceleration"](entry, found)


def row_of(made, arm, prior=None, budget=0.5, method="byol"):
    [row] = [
        row for row in made.arms
        if (row.arm, row.prior, row.budget, row.method) == (arm, prior, budget, method)
    ]  # fmt: skip
    return row


def test_differences_are_paired_by_seed(told):
    _, found, made = told
    for prior, budget in itertools.product(["other", "random"], [0.2, 0.5]):
        row = row_of(made, "rela-redrawn", prior, budget)
        own = values(found, "rela-redrawn", prior, budget)
        for shown, other in (
            (row.against_same, values(found, "base-redrawn", budget=budget)),
            (row.against_full, values(found, "base-full")),
        ):
            wanted = stats.ttest_rel(own, other)
            low, high = wanted.confidence_interval(0.95)
            assert (shown.value, shown.n) == (pytest.approx((own - other).mean()), 4)
            assert (shown.low, shown.high) == (pytest.approx(low), pytest.approx(high))
    fixed = row_of(made, "rela-fixed", "other")
    apart = values(found, "rela-fixed", "other") - values(found, "base-fixed")
    assert fixed.against_same.value == pytest.approx(apart.mean())
    for arm in ("base-full", "base-redrawn", "base-fixed", "base-shorter"):
        assert row_of(made, arm).against_same is None
    assert row_of(made, "base-full").against_full is None


def test_p_is_that_of_the_t_test_and_holm_is_by_hand(told):
    _, found, made = told
    rows = [one for one in made.contrasts if one.method == "byol"]
    first = rows[0]
    assert first.question == "accelerates at equal steps"
    own, other = values(found, "rela-redrawn", "other"), values(found, "base-redrawn")
    assert first.p == pytest.approx(stats.ttest_rel(own, other).pvalue)
    for one in rows:
        smaller = sorted(row.p for row in rows if row.p <= one.p)
        wanted = max(p * (len(rows) - place) for place, p in enumerate(smaller))
        assert one.holm == pytest.approx(min(1, wanted))
    assert two_sided(np.array([1.0])) is None
    assert (two_sided(np.zeros(3)), two_sided(np.ones(3))) == (1.0, 0.0)


def test_every_ingredient_has_its_contrast(told):
    _, found, made = told
    held = {one.question: one for one in made.contrasts if one.method == "byol"}
    assert len(held) == 14
    rela = values(found, "rela-redrawn", "other")
    for question, arm, prior in (
        ("and against full data for as many steps", "base-shorter", None),
        ("and against full data at equal cost", "base-equal-cost", "other"),
        ("as good as full data", "base-full", None),
        ("which target is whose", "rela-shuffled", "other"),
        ("targets beyond milder views", "base-mild-views", None),
        ("the second stage", "rela-stage-1", "other"),
        ("redrawn samples, with targets", "rela-fixed", "other"),
        ("a projection that is trained", "rela-fixed-projection", "other"),
        ("a fixed switch", "rela-adaptive", "other"),
        ("what the prior knows", "rela-redrawn", "random"),
    ):
        wanted = (rela - values(found, arm, prior)).mean()
        assert held[question].points.value == pytest.approx(wanted), question
    assert {one.question for one in made.contrasts if one.method == "simclr"} == {
        "accelerates at equal steps", "and against full data for as many steps",
        "as good as full data", "what the prior knows",
    }  # fmt: skip


def test_a_prior_of_the_same_base_has_a_contrast_with_the_main_one():
    same = OTHER.model_copy(update={"name": "same", "domain": A})
    far = Source(name="far", how="model", model="ours:x.safetensors")
    names = ["far", "same", "random"]
    entry = mini(priors=[far, same, RANDOM], methods=[changed(FULL, priors=names)], seeds=2)
    found = invented(entry, gain=1)
    made = report["acceleration"](entry, found)
    [one] = [one for one in made.contrasts if one.question == "a prior of the same base"]
    apart = values(found, "rela-redrawn", "same") - values(found, "rela-redrawn", "far")
    assert one.points.value == pytest.approx(apart.mean())


def test_costs_are_counted_with_and_without_the_prior(told):
    _, _, made = told
    row = row_of(made, "rela-redrawn", "other")
    assert (row.images, row.passes) == (2 * 4 * 30, 3 * 2 * 4 * 30)
    assert row.with_prior == row.passes + 60 + 3 * 2 * 5 * 50
    assert row.of_full == pytest.approx(row.with_prior / (3 * 2 * 4 * 60))
    random = row_of(made, "rela-redrawn", "random")
    assert random.with_prior == random.passes + 60, "nobody trained it"
    base = row_of(made, "base-redrawn")
    assert base.with_prior == base.passes == row.passes
    spent = row_of(made, "base-equal-cost", "other")
    assert spent.passes == pytest.approx(row.with_prior, abs=3 * 2 * 60 / 2), "half an epoch"
    assert spent.with_prior == spent.passes
    [prior] = [one for one in made.priors if one.prior == "other"]
    assert prior.of_full == pytest.approx(3 * 2 * 5 * 50 / (3 * 2 * 4 * 60))
    assert prior.targets_of_full == pytest.approx(60 / (3 * 2 * 4 * 60))


def test_arms_of_one_cost_are_compared(told):
    _, found, made = told
    row = row_of(made, "rela-redrawn", "random")  # the pass is not half an epoch
    apart = values(found, "rela-redrawn", "random") - values(found, "base-shorter")
    assert row.against_cost.value == pytest.approx(apart.mean())
    row = row_of(made, "rela-shuffled", "other")
    apart = values(found, "rela-shuffled", "other") - values(found, "base-equal-cost", "other")
    assert row.against_cost.value == pytest.approx(apart.mean())
    assert row_of(made, "base-redrawn").against_cost is None


def test_switches_that_never_came_are_null(told):
    _, _, made = told
    assert row_of(made, "rela-adaptive", "other").switches == [7, None, None, None]
    assert row_of(made, "rela-stage-1", "other").switches == [None] * 4
    assert row_of(made, "base-mild-views").switches == []
    line = next(line for line in made.says if "adaptive" in line)
    assert "7, never, never, never" in line
    assert '"switches": [' in made.pretty().decode()
    assert json.loads(made.pretty())["arms"]


def test_maps_have_both_ways_and_rates_the_chosen_one(told):
    _, _, made = told
    assert [(one.first, one.second, one.whitened.value) for one in made.maps] == [
        ("other", "random", pytest.approx(0.1)),
        ("random", "other", pytest.approx(0.11)),
    ]
    assert [(one.method, one.lr, one.chosen) for one in made.rates] == [
        ("simclr", 0.1, False), ("simclr", 0.2, True),
    ]  # fmt: skip


def test_what_is_said_depends_on_intervals():
    for gain, noise, words in ((5, 0.05, "more."), (-5, 0.05, "less."), (0.1, 2, "apart.")):
        entry = mini(seeds=3)
        made = report["acceleration"](entry, invented(entry, gain, noise))
        assert made.says[0].endswith(words), made.says[0]
        assert "n = 3" in made.says[0]
    assert any("showed 93.75%" in line and "6.2% of the data" in line for line in made.says)
    shown = [
        one.model_copy(update={"metrics": {**one.metrics, "shown": 0.999}})
        for one in invented(entry, 1)
    ]
    lines = report["acceleration"](entry, shown).says
    assert sum("99.90% of" in line and "updates, not data" in line for line in lines) == 2
    alone = mini()
    made = report["acceleration"](alone, invented(alone, 50))
    assert "n = 1, no interval" in made.says[0]
    assert made.contrasts[0].p is None
    assert made.contrasts[0].holm is None


def test_a_failure_is_named_and_the_rest_is_compared(told):
    entry, found, _ = told
    broken = [
        one.model_copy(update={"status": "invalid", "reason": "diverged", "metrics": {}})
        if (one.arm, one.seed, one.of.get("budget")) == ("base-redrawn", 2, 0.5)
        else one
        for one in found
    ]
    made = report["acceleration"](entry, broken)
    assert any("base-redrawn" in line and "seed 2: invalid" in line for line in made.failed)
    assert row_of(made, "rela-redrawn", "other").against_same.n == 3
    assert row_of(made, "rela-redrawn", "other").against_full.n == 4


def test_findings_of_another_study_and_none_are_refused(told):
    _, found, _ = told
    with pytest.raises(BadResults, match="findings of another study"):
        report["acceleration"](mini(), found)
    with pytest.raises(BadResults, match="run it first"):
        report["acceleration"](mini(), [])


# Pages


@pytest.fixture(scope="module")
def script():
    file = Path(__file__).parents[1] / "benchmark" / "derive" / "acceleration_page.py"
    spec = importlib.util.spec_from_file_location("acceleration_page", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_tells_the_report_and_the_seconds(script, told):
    from lotterybench.trials import Timing

    entry, found, made = told
    took = [Timing(key=one.key, seconds=10.0 + one.seed) for one in found]
    times = script.times_of(found, took)
    again = AccelerationReport.read(made.pretty(), "report")
    text = script.page(entry, again, times)
    assert again == made
    assert text == script.page(entry, made, times)
    assert "None" not in text
    assert "nan" not in text
    for one in made.contrasts:
        shown = one.points
        bounds = f"{shown.value:.2f} ({shown.low:.2f} – {shown.high:.2f})"
        row = f"| {one.method} | {one.question} | {one.first} | {one.second} | 4 | {bounds} |"
        assert row in text
    end = next(
        line for line in text.splitlines()
        if line.startswith("| byol | rela-redrawn | other | 4 of 4 ")
    )  # fmt: skip
    assert "| 11.5 | 31.5 |" in end, "the mean over seeds, then with the prior and its targets"
    assert "| byol | base-full | – | 2 of 4 | 240 | 5.8 | 5.8 |" in text
    assert "| 10.0 | 10.0 | 0.8696 |" in text, "targets take 10 of a training's mean of 11.5"
    bare = script.page(entry, made, script.times_of(found, []))
    assert "| byol | base-full | – | 2 of 4 | 240 | – | – |" in bare


# A whole study


@pytest.mark.slow
def test_a_study_that_is_killed_goes_on_to_the_same_bytes(tmp_path):
    entry = mini(methods=[changed(FULL, rates=[0.1, 0.2])])
    run_study(entry, tmp_path / "whole", device="cpu", jobs=2)
    out = tmp_path / "killed" / entry.name
    terms = Terms(entry, find_base(entry.base)[0].digest, stages_folder(out), every=0.0)
    going = carry_out_stages(planned_stages(entry), terms, 2)
    for _ in range(24):
        next(going)
    going.close()
    summary = run_study(entry, tmp_path / "killed", device="cpu", jobs=1)
    assert 0 < summary.before < summary.planned
    whole, killed = (findings_file(tmp_path / of / entry.name) for of in ("whole", "killed"))
    assert killed.read_bytes() == whole.read_bytes()
    found = [Finding.read(line, "here") for line in whole.read_text().splitlines()]
    assert {one.status for one in found} == {"ok"}
    made = report["acceleration"](entry, found)
    assert {row.arm for row in made.arms} == set(FORMS)
    assert len(made.contrasts) == 14
    lr = {row.lr for row in made.arms}
    assert lr == {row.lr for row in made.rates if row.chosen}
