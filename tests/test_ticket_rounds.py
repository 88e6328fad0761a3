"""Rounds of PrAC as they are carried out: what each trains on, leaves, and repeats."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from ticket_studies import carried_out, mini, terms_of

from lotterybench.kinds.stages.graph import do
from lotterybench.kinds.stages.watching import predictions
from lotterybench.kinds.tickets import stages_of
from lotterybench.kinds.tickets.sets import load_set
from lotterybench.kinds.tickets.split import split_of
from lotterybench.manifests import find_base
from lotterybench.pruning.levels import load_level
from lotterybench.pruning.masks import Masks, load
from lotterybench.score.studies import report
from lotterybench.studies import Arm, Pruning

BASE, _ = find_base("digits")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Carry out one seed of the mini-study; give its stages by name, and their folders."""
    study, root = mini(seeds=1), tmp_path_factory.mktemp("stages")
    stages = stages_of(study, BASE)
    found = carried_out(study, stages, root)
    names = {
        (s.does, s.arm, s.of.get("level"), s.of.get("control", s.of.get("with", ""))): s
        for s in stages
    }
    return study, stages, names, found, root


def at(done, does, arm, level, more=""):
    _, _, names, found, root = done
    stage = names[does, arm, level, more]
    return found[stage.key], root / stage.key[:20]


def test_every_stage_ends_well(done):
    assert {one.status for one in done[3].values()} == {"ok"}


def test_masks_are_nested_exactly_counted_and_rewound_to_the_byte(done):
    points, before = [], None
    for level in range(3):
        found, folder = at(done, "round", "imp", level)
        here = load_level(folder / "level.safetensors")
        total = here.masks.total
        assert here.masks.remaining == round(0.8**level * total) == found.metrics["kept"]
        following = load(folder / "next.safetensors")
        assert following.remaining == round(0.8 ** (level + 1) * total)
        assert (following & here.masks) == following
        if before is not None:
            assert here.masks == before
        before = following
        for name, mask in here.masks.kept.items():
            assert not here.final[name][~mask].any()
        points.append(here.point)
    for point in points[1:]:
        assert set(point) == set(points[0])
        assert all(torch.equal(point[name], value) for name, value in points[0].items())


def test_a_ticket_is_the_rewinding_point_under_the_masks(done):
    _, folder = at(done, "ticket", "imp", 3)
    _, last = at(done, "round", "imp", 2)
    point, masks = load_level(last / "level.safetensors").point, load(last / "next.safetensors")
    weights = load_file(folder / "weights.safetensors")
    assert load(folder / "masks.safetensors") == masks
    for name, value in weights.items():
        wanted = point[name] * masks.kept[name] if name in masks.kept else point[name]
        assert torch.equal(value, wanted)
    assert set(weights) == {name for name in point if not name.startswith("@head.")}


def test_controls_keep_density_tensor_by_tensor(done):
    own = load(at(done, "ticket", "imp", 3)[1] / "masks.safetensors")
    permuted = load(at(done, "ticket", "imp", 3, "permuted")[1] / "masks.safetensors")
    again = load(at(done, "ticket", "imp", 3, "reinitialised")[1] / "masks.safetensors")
    assert permuted != own and permuted.counts == own.counts
    assert again == own


@pytest.mark.parametrize("how", ["random", "magnitude", "snip", "grasp", "synflow"])
def test_baselines_keep_exactly_as_many(done, how):
    found, folder = at(done, "baseline", how, 3)
    masks = load(folder / "masks.safetensors")
    assert masks.remaining == round(0.8**3 * masks.total) == found.metrics["kept"]


def test_sets_are_what_was_forgotten_and_what_pruning_changed(done):
    split = split_of(BASE, 0.1, "random")
    for level in range(3):
        found, folder = at(done, "round", "prac", level)
        got = load_set(folder / "set.safetensors")
        assert (got.cet | got.cep).all() and np.isin(got.positions, split.train).all()
        assert (np.diff(got.positions) > 0).all()
        assert found.metrics["set"] == len(got.positions)
        assert (got.forgotten[got.cet] > 0).all()
        if level == 0:
            assert not got.cep.any()
        else:
            before = load_set(at(done, "round", "prac", level - 1)[1] / "set.safetensors")
            assert np.isin(got.positions[got.cet], before.positions).all()
            assert (got.forgotten[~np.isin(got.positions, before.positions)] == -1).all()


def test_what_pruning_changed_is_found_again_from_the_saved_networks(done):
    from lotterybench.kinds.data import tensors
    from lotterybench.methods.base.backbones import build, dimension

    _, first = at(done, "round", "prac", 0)
    found = load_set(at(done, "round", "prac", 1)[1] / "set.safetensors")
    images, _ = tensors("digits", "train", None, "cpu")
    rows = torch.from_numpy(split_of(BASE, 0.1, "random").train)

    def says(state):
        net = build("resnet", in_chans=1, size=8, seed=0, width=0.25)
        head = torch.nn.Linear(dimension(net), 10)
        net.load_state_dict({k: v for k, v in state.items() if not k.startswith("@head.")})
        head.load_state_dict({k[6:]: v for k, v in state.items() if k.startswith("@head.")})
        return predictions(net.eval(), head.eval(), images, rows)

    dense = load_file(first / "dense.safetensors")["says"]
    if at(done, "round", "prac", 0)[0].metrics["best-epoch"] == 3:  # then the last is the best
        assert torch.equal(dense, says(load_level(first / "level.safetensors").final).int())
    final = says(load_level(at(done, "round", "prac", 1)[1] / "level.safetensors").final)
    changed = rows[dense != final].numpy()
    # the saved network is the last epoch's, the set's the best epoch's: close, not the same
    best = at(done, "round", "prac", 1)[0].metrics["best-epoch"]
    if best == at(done, "round", "prac", 1)[0].metrics["epochs"]:
        assert set(changed) == set(found.positions[found.cep])
    else:
        assert len(np.intersect1d(changed, found.positions[found.cep]))


@pytest.mark.parametrize("arm", ["random", "random-matched", "el2n", "forgetting"])
def test_other_sets_are_as_large_as_prac_s(done, arm):
    for level in range(3):
        mine, theirs = (at(done, "round", a, level)[0] for a in (arm, "prac"))
        assert mine.metrics["samples"] == theirs.metrics["samples"]


def test_matched_arms_take_as_many_steps(done):
    for level in range(3):
        steps = at(done, "round", "prac", level)[0].steps
        for arm in ("random-matched", "imp-truncated"):
            mine = at(done, "round", arm, level)[0]
            per_epoch = mine.steps / mine.metrics["epochs"]
            assert abs(mine.steps - steps) <= per_epoch


def test_sets_of_another_architecture_are_taken_as_they_are(done):
    sizes = [at(done, "round", "prac", level)[0].metrics["set"] for level in range(3)]
    final = [at(done, "round", "other-final", level)[0].metrics["samples"] for level in range(3)]
    each = [at(done, "round", "other-sets", level)[0].metrics["samples"] for level in range(3)]
    assert final == [sizes[-1]] * 3
    assert each == [at(done, "round", "imp", 0)[0].metrics["samples"], *sizes[:2]]


def test_an_observer_ends_a_training_and_its_cost(done, tmp_path):
    from lotterybench.kinds.stages import Here
    from lotterybench.kinds.stages.training import learner_of, train_under, weights_of
    from lotterybench.kinds.tickets.setting import Setting
    from lotterybench.methods.base.observe import Observer

    class Ends(Observer):
        def epoch(self, epoch, encoder, classifier):
            return epoch == 1

    stage = done[1][0]
    setting = Setting(stage, Here(tmp_path, {}, "cpu"))
    task = setting.task(setting.split.train[:100])
    for begin, epochs in ((0, 2), (1, 1)):
        learner = learner_of(task, setting.recipe)
        masks = Masks.dense(weights_of(learner.encoder, setting.pruning))
        trained = train_under(
            task, learner, masks, setting.pruning, setting.here, observers=[Ends()], begin=begin
        )
        assert len(trained.curve) == epochs and trained.images_seen == 100 * epochs
        assert trained.curve[-1].lr == pytest.approx(0.1)  # it falls after the second epoch


def test_a_stage_repeats_to_the_byte(done, tmp_path):
    study, stages, _, found, root = done
    for stage in stages[:4]:
        again = do(stage, terms_of(study, tmp_path)).finding
        assert again == found[stage.key]
        for file in (root / stage.key[:20]).iterdir():
            if file.name != "done.json":
                assert (tmp_path / stage.key[:20] / file.name).read_bytes() == file.read_bytes()


@pytest.mark.parametrize(
    ("switch", "part"),
    [({"parts": "cet"}, "cep"), ({"parts": "cep", "pair": "just-pruned"}, "cet")],
)
def test_parts_can_be_left_out(tmp_path, switch, part):
    study = mini(
        seeds=1, arms=[Arm(name="prac", data="prac", **switch)], controls=[], baselines=[],
        pruning=Pruning(rounds=1), evaluated=[0, 1], at=1,
    )  # fmt: skip
    first = stages_of(study, BASE)[0]
    assert do(first, terms_of(study, tmp_path)).finding.status == "ok"
    found = load_set(tmp_path / first.key[:20] / "set.safetensors")
    # an empty set would end the arm: then the round's own samples go on, as the other part
    if len(found.positions) < split_of(BASE, 0.1, "random").train.size:
        assert not getattr(found, part).any()


def test_overlaps_are_against_chance(done):
    found = at(done, "set-overlap", "prac", 3, "forgetting")[0].metrics
    assert found["first"] == found["second"] and 0 <= found["jaccard"] <= 1


def test_the_report_of_the_mini_study_is_whole(done):
    study, stages, _, found, _ = done
    told = report["tickets"](study, [found[stage.key] for stage in stages])
    assert {row.arm for row in told.savings} <= {arm.name for arm in study.arms}
    assert len(told.rounds) == 3 * len(study.arms)
    assert all(row.accuracy.n == 1 and row.accuracy.low is None for row in told.tickets)
    assert not any(row.quoted for row in told.savings)  # one seed shows nothing
