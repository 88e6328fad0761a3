"""ReLA's two stages around every method: the switch, what learns when, costs, kill and resume."""

import importlib
import json
import math
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from test_ranks import environment

from lotterybench.errors import BadRequest
from lotterybench.methods import Learner, Schedule, Task, method
from lotterybench.methods.base import switching
from lotterybench.methods.base.data import Batch, Resident, Share
from lotterybench.methods.base.draws import Draws
from lotterybench.methods.base.loop import Engine, train
from lotterybench.methods.base.observe import Observer
from lotterybench.methods.base.redrawn import Redrawn
from lotterybench.methods.base.rela import (
    accelerated,
    mild_settings,
    mild_views,
    mismatch,
    shuffled,
    without_targets,
)
from lotterybench.methods.base.switching import NEVER, Adaptive, AtEpoch, Switch, switch_step

WRAPPED = [name for name in method if name not in {"stacked", "random-init"}]
TWO_VIEWS = [name for name in WRAPPED if name not in {"supervised", "mae"}]
# Those of the fast tests; the others, which share their code, go with the slow ones.
FIRST = {"byol", "dino", "supervised"}
EVERY = [pytest.param(n, marks=[] if n in FIRST else pytest.mark.slow) for n in WRAPPED]
EVERY_OF_TWO = [each for each in EVERY if each.values[0] in TWO_VIEWS]
TAUGHT = ["byol", "dino", "moco-v1", "moco-v2", "moco-v3"]
ROWS, BATCH, WIDTH = 40, 16, 12  # batches of 16, 16 and 8
STEPS = 3  # an epoch


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def targets(digits):
    noise = torch.Generator().manual_seed(5)
    return torch.randn(len(digits[0]), WIDTH, generator=noise).half()


def task(digits, run="one", rows=ROWS):
    return Task(Resident(*digits, torch.arange(rows)), 10, False, run)


def inner(name, of, epochs=2, **settings):
    backbone = "vit" if name == "mae" else "convmixer"
    settings = {"lr": 0.05, "backbone": backbone, "batch": BATCH} | settings
    return method[name](of, epochs=epochs, **settings)


def state(module):
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def copied(module):
    return {key: value.clone() for key, value in state(module).items()}


def changed(before, module):
    return {key for key, value in state(module).items() if not torch.equal(before[key], value)}


# The switch


def published(losses, alike=0.995):
    """The recurrence as the public code has it: how many losses until it fires, or None."""
    slow, fast = 2.0, 1.0
    for step, loss in enumerate(losses, 1):
        rho = math.exp(-max(slow - fast, 0))
        fast = 0.999 * fast + 0.001 * loss
        slow = 0.99 * slow + 0.01 * fast
        if rho >= alike:
            return step
    return None


def fired(losses):
    switch = Switch(Adaptive(), 1)
    for step, loss in enumerate(losses, 1):
        switch.observe(torch.tensor(loss), 1)
        if switch.switched:
            return step
    return None


@pytest.mark.parametrize(("loss", "steps"), [(1.0, 528), (0.8, 1480), (0.6, 2173), (0.4, 2578)])
def test_the_switch_fires_when_the_published_recurrence_does(loss, steps):
    assert published([loss] * 3000) == steps
    assert fired([loss] * steps) == steps
    assert fired([loss] * (steps - 1)) is None


def test_the_switch_follows_any_loss():
    """Noisy losses that fall, stay or rise; only those that fall long enough keep it in stage 1."""
    noise = torch.Generator().manual_seed(1)
    want = []
    for fall in (0.0005, -0.0002, -0.001):
        drawn = torch.rand(1500, generator=noise).tolist()
        losses = [2 * math.exp(-fall * step) * x for step, x in enumerate(drawn)]
        want.append(published(losses))
        assert fired(losses) == want[-1]
    assert want[0] is None
    assert want[1] > want[2]
    assert fired([math.nan] * 600) is published([math.nan] * 600) is None


def test_once_switched_it_stays_so():
    switch = Switch(Adaptive(), 1)
    for loss in [1.0] * 528 + [-300.0] * 50:
        switch.observe(torch.tensor(loss), 1)
    assert switch.slow - switch.fast > 0.01
    assert switch.switched


def test_the_epoch_of_a_switch_is_rounded_down():
    assert [AtEpoch(0.5).of(n) for n in (1, 2, 3, 60)] == [0, 1, 1, 30]
    assert AtEpoch(0.29).of(100) == 29
    assert (NEVER.of(7), AtEpoch(0).of(7)) == (7, 0)
    for share in (-0.1, 1.2, math.nan):
        with pytest.raises(BadRequest, match="is not from 0"):
            AtEpoch(share)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_losses_of_a_training_move_its_switch(digits, targets, precision, monkeypatch):
    monkeypatch.setattr(switching, "ALIKE", 0.4)  # reached after about 9 losses of 1
    losses, observe = [], Switch.observe

    def watched(self, loss, count):
        losses.append(loss.item())
        observe(self, loss, count)

    monkeypatch.setattr(Switch, "observe", watched)
    of = task(digits)
    made = accelerated(of, inner("simclr", of, 6), targets, switch=Adaptive())
    trained = train(of, made, Engine(precision=precision))
    assert switch_step(made) == len(losses) == published(losses, 0.4) < 6 * STEPS
    assert all(0 <= loss <= 2 for loss in losses)
    assert {value.dtype for value in made.net.parameters()} == {torch.float32}
    assert math.isfinite(trained.curve[-1].loss)


def test_runs_that_never_switch_say_so(digits, targets):
    for rule in (Adaptive(), NEVER):
        of = task(digits)
        made = accelerated(of, inner("simclr", of), targets, switch=rule)
        train(of, made)
        assert switch_step(made) is None
    with pytest.raises(ValueError, match="no switch"):
        switch_step(inner("simclr", task(digits)))


# The loss and the views of stage 1


def test_the_loss_is_half_the_sum_over_two_views():
    noise = torch.Generator().manual_seed(2)
    first, second, wanted = torch.randn(3, 7, 5, generator=noise).double().unbind()

    def cosine(a, b):
        return (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1))

    want = (0.5 * ((1 - cosine(first, wanted)) + (1 - cosine(second, wanted)))).mean()
    got = mismatch(torch.cat((first, second)), wanted.repeat(2, 1))
    assert got.item() == pytest.approx(want.item(), rel=1e-12)
    assert mismatch(3 * wanted, wanted).item() == pytest.approx(0, abs=1e-12)
    assert mismatch(-wanted, wanted).item() == pytest.approx(2)


def test_each_view_is_held_against_the_target_of_its_own_image(digits, targets):
    of = replace(task(digits), mirror=True)
    plain = inner("simclr", of)
    made = accelerated(of, plain, targets, switch=NEVER)
    rows = torch.tensor([31, 4, 17, 8, 2])
    batch = Batch(digits[0][rows], digits[1][rows], rows, draws(5), 0, 0, 10)
    found = made.loss(batch)
    views = mild_views(digits[0][rows], mirror=True, draws=draws(5))
    mapped = made.net[1](plain.encoder(views)).detach()
    halves = [
        0.5 * (1 - torch.cosine_similarity(said, targets[row].float(), dim=0))
        for half in mapped.chunk(2)
        for said, row in zip(half, rows, strict=True)
    ]
    assert found.item() == pytest.approx(sum(halves).item() / 5, rel=1e-5)


def test_mild_views_change_brightness_as_far_as_they_should():
    """Of one plain grey: times a factor of .2 to 1.8 four times in five, at most 1."""
    images = torch.full((4000, 1, 4, 4), 100, dtype=torch.uint8)
    views = mild_views(images, mirror=True, draws=draws(4000))
    assert views.shape == (8000, 1, 4, 4)
    factor = (views / 4 + 0.5).mean((1, 2, 3)) / (100 / 255)
    kept = (factor - 1).abs() < 1e-4
    assert kept.float().mean().item() == pytest.approx(0.2, abs=0.03)
    rest = factor[~kept]
    assert rest.min().item() == pytest.approx(0.2, abs=0.01)
    assert rest.max().item() == pytest.approx(1.8, abs=0.01)
    assert rest.mean().item() == pytest.approx(1.0, abs=0.05)


def draws(whole, seed=0):
    return Draws(torch.Generator().manual_seed(seed), whole)


@pytest.mark.parametrize("name", EVERY_OF_TWO)
def test_a_method_can_be_given_the_views_of_stage_1(name, digits, monkeypatch):
    module = importlib.import_module(method.facts(name)["at"].split(":")[0])
    made, two_views = [], module.two_views

    def noted(*given, **settings):
        made.append(two_views(*given, **settings))
        return made[-1]

    monkeypatch.setattr(module, "two_views", noted)
    of = task(digits)
    images = digits[0][:BATCH]
    rows = torch.arange(BATCH)
    for settings in ({}, mild_settings(name)):
        batch = Batch(images, digits[1][:BATCH], rows, draws(BATCH), 0, 0, 10)
        inner(name, of, **settings).loss(batch)
    want = mild_views(images, mirror=False, draws=draws(BATCH))
    assert torch.equal(made[1], want)
    assert not torch.equal(made[0], want)


def test_methods_without_such_settings_are_refused():
    for name in ("supervised", "mae"):
        with pytest.raises(BadRequest, match=f"{name} has no settings `smallest`"):
            mild_settings(name)


# What learns in which stage


@pytest.mark.parametrize("name", WRAPPED)
def test_in_stage_1_the_encoder_learns_and_no_head(name, digits, targets):
    """Weight decay too leaves heads alone; teachers follow their students."""
    of = task(digits)
    plain = inner(name, of, 1, weight_decay=0.1)
    head = {id(p) for p in plain.net.parameters() if p.requires_grad}
    head -= {id(p) for p in plain.encoder.parameters()}
    heads = [p for p in plain.net.parameters() if id(p) in head]
    before = [p.detach().clone() for p in heads]
    made = accelerated(of, plain, targets, switch=NEVER)
    start = copied(made.net)
    train(of, made)
    assert heads
    assert all(p.grad is None for p in heads)
    # SwAV scales its prototypes to length 1 after each step, which may change their last bit
    assert all(torch.allclose(p, b, atol=1e-6) for p, b in zip(heads, before, strict=True))
    moved = changed(start, made.net)
    learnt = [p for p in plain.encoder.parameters() if p.requires_grad]
    assert sum(p.grad.abs().sum() > 0 for p in learnt if p.grad is not None) > len(learnt) / 2
    assert {"1.weight", "1.bias"} <= moved
    if name in TAUGHT:
        teacher = [k for k, v in made.net.named_parameters() if not v.requires_grad]
        assert any(key in moved for key in teacher)


def test_a_fixed_projection_stays_as_it_was_drawn(digits, targets):
    kept = {}
    for trains in (True, False):
        of = task(digits)
        made = accelerated(
            of, inner("byol", of), targets, switch=AtEpoch(0.5), train_projection=trains
        )
        start = copied(made.net)
        train(of, made)
        kept[trains] = start["1.weight"]
        assert ("1.weight" in changed(start, made.net)) == trains
        assert kept[trains].shape[0] == WIDTH
    assert torch.equal(kept[True], kept[False])
    other = task(digits, "two")
    made = accelerated(other, inner("byol", other), targets, switch=NEVER)
    assert not torch.equal(made.net[1].weight, kept[True])


@pytest.mark.parametrize("name", WRAPPED)
def test_every_method_goes_through_both_stages(name, digits, targets):
    of = task(digits)
    plain = inner(name, of)
    made = accelerated(of, plain, targets, switch=AtEpoch(0.5))
    start = copied(plain.net)
    trained = train(of, made)
    assert switch_step(made) == STEPS
    assert len(changed(start, plain.net)) > len(list(plain.encoder.parameters()))  # heads too
    assert trained.images_seen == ROWS * (2 + plain.views)
    assert (trained.classifier is not None) == (name == "supervised")
    assert all(math.isfinite(line.loss) for line in trained.curve)
    assert not trained.encoder.training


@pytest.mark.parametrize("name", EVERY)
def test_without_a_stage_1_it_is_the_method_itself(name, digits, targets):
    """Byte for byte, so that the two stages meet nowhere but in the weights."""
    of, alone = task(digits), task(digits)
    plain, wrapped = inner(name, alone), inner(name, of)
    made = accelerated(of, wrapped, targets, switch=AtEpoch(0))
    want, got = train(alone, plain), train(of, made)
    assert changed(state(plain.net), wrapped.net) == set()
    assert (got.curve, got.images_seen) == (want.curve, want.images_seen)
    assert switch_step(made) == 0


@pytest.mark.parametrize("optimiser", ["sgd", "momentum", "adamw", "adam", "lars", "lamb", "muon"])
def test_heads_join_every_optimiser_later(optimiser, digits, targets):
    """After the switch a head moves as it does in a training that has just begun."""
    of = task(digits)
    plain = inner("supervised", of)
    schedule = Schedule(2, 0.01, BATCH, optimiser, 0.01)
    made = accelerated(of, replace(plain, schedule=schedule), targets, switch=AtEpoch(0.5))
    before = plain.classifier.weight.detach().clone()
    train(of, made)
    assert plain.classifier.weight.isfinite().all()
    assert not torch.equal(before, plain.classifier.weight)


def test_images_are_counted_in_the_stage_that_shows_them(digits, targets, monkeypatch):
    monkeypatch.setattr(switching, "ALIKE", 0.4)
    of = task(digits)
    made = accelerated(of, inner("supervised", of, 6), targets, switch=Adaptive())
    seen = train(of, made).images_seen
    step = switch_step(made)
    epochs, rest = divmod(step, STEPS)
    assert 0 < rest < STEPS, "the switch comes within an epoch"
    assert seen == 6 * ROWS + epochs * ROWS + BATCH * rest


# Kill and resume


class Stop(Exception):
    pass


class StopAt(Observer):
    def __init__(self, steps):
        self.left = steps

    def batch(self, epoch, rows, outputs):
        self.left -= 1
        if self.left < 0:
            raise Stop


RULES = {"epoch": AtEpoch(0.6), "adaptive": Adaptive()}


@pytest.mark.parametrize(
    ("name", "optimiser", "rule"),
    [
        ("byol", "adamw", "adaptive"),
        ("supervised", "sgd", "epoch"),
        pytest.param("byol", "adamw", "epoch", marks=pytest.mark.slow),
        pytest.param("supervised", "sgd", "adaptive", marks=pytest.mark.slow),
        pytest.param("dino", "sgd", "adaptive", marks=pytest.mark.slow),
        pytest.param("dino", "lars", "epoch", marks=pytest.mark.slow),
    ],
)
def test_resumed_on_either_side_of_the_switch_it_ends_in_the_same_bytes(
    name, optimiser, rule, digits, targets, tmp_path, monkeypatch
):
    monkeypatch.setattr(switching, "ALIKE", 0.4)

    def learner(of):
        plain = inner(name, of, 5)
        plain = replace(plain, schedule=replace(plain.schedule, optimiser=optimiser))
        return accelerated(of, plain, targets, switch=RULES[rule])

    whole = task(digits)
    undisturbed = learner(whole)
    want = train(whole, undisturbed)
    step = switch_step(undisturbed)
    assert 4 < step < 5 * STEPS - 2
    for stop in (step - 2, step, step + 1):
        engine = Engine(checkpoint=tmp_path / f"{stop}.safetensors", every=0)
        broken = task(digits)
        with pytest.raises(Stop):
            train(broken, learner(broken), replace(engine, observers=[StopAt(stop)]))
        again = task(digits)
        resumed = learner(again)
        got = train(again, resumed, engine)
        assert changed(state(undisturbed.net), resumed.net) == set()
        assert switch_step(resumed) == step
        assert (got.curve, got.images_seen) == (want.curve, want.images_seen)


RANKS = """
import sys
import torch
from lotterybench.methods import Task, method
from lotterybench.methods.base import ranks, switching
from lotterybench.methods.base.data import Resident, Share
from lotterybench.methods.base.loop import Engine, train
from lotterybench.methods.base.rela import accelerated
from lotterybench.methods.base.switching import Adaptive, switch_step

torch.set_num_threads(1)
switching.ALIKE = 0.4
store, share = (None, Share()) if sys.argv[1] == "alone" else ranks.meet()
noise = torch.Generator().manual_seed(0)
images = torch.randint(256, (43, 3, 8, 8), dtype=torch.uint8, generator=noise)
task = Task(Resident(images, torch.arange(43) % 3, torch.arange(43)), 3, True, "run")
targets = torch.randn(43, 6, generator=noise)

def go():
    inner = method["supervised"](task, epochs=6, lr=0.01, backbone="vit", batch=16)
    made = accelerated(task, inner, targets, switch=Adaptive())
    trained = train(task, made, Engine(share=share))
    if share.rank == 0:
        switch = made.net[2]
        curve = [line.loss for line in trained.curve]
        print([switch_step(made), trained.images_seen, float(switch.fast), *curve])

if share.world == 1:
    go()
else:
    with ranks.joined(store, share, torch.device("cpu")):
        go()
"""


@pytest.mark.slow
def test_ranks_switch_at_the_same_step_as_one_process(tmp_path):
    """Parts of 8 and 8, and of 5 and 6: the mean over all images moves the switch."""
    script = tmp_path / "script.py"
    script.write_text(RANKS)
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    found = []
    for how in ([script, "alone"], [*launch, script, "ranks"]):
        done = subprocess.run(
            [sys.executable, *how],
            capture_output=True, text=True, check=False, timeout=120, env=environment(),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout))
    assert found[1][:2] == found[0][:2]
    assert 0 < found[0][0] < 6 * STEPS
    assert found[1] == pytest.approx(found[0], rel=1e-4)


# Controls


def test_shuffled_targets_change_places_among_their_rows():
    targets = torch.arange(20.0).view(10, 2)
    rows = torch.tensor([1, 3, 4, 6, 8, 9])
    found = shuffled(targets, rows, 7)
    rest = torch.tensor([0, 2, 5, 7])
    assert torch.equal(found[rest], targets[rest])
    assert torch.equal(found[rows].sort(0).values, targets[rows])
    assert not torch.equal(found, targets)
    assert torch.equal(found, shuffled(targets, rows, 7))
    assert not torch.equal(found, shuffled(targets, rows, 8))
    assert targets[1, 0] == 2, "the given targets stay"


def control(name, of, switch, **settings):
    plain, mild = inner(name, of, **settings), inner(name, of, **settings, **mild_settings(name))
    return plain, without_targets(plain, mild, switch=switch)


@pytest.mark.parametrize("name", EVERY_OF_TWO)
def test_the_control_without_targets_is_one_network_under_two_views(name, digits):
    """At its two ends it is, byte for byte, the method with mild views and with its own."""
    for switch, settings in ((NEVER, mild_settings(name)), (AtEpoch(0), {})):
        of, alone = task(digits), task(digits)
        want = inner(name, alone, **settings)
        plain, made = control(name, of, switch)
        shown = train(alone, want), train(of, made)
        assert changed(state(want.net), plain.net) == set()
        assert shown[0].curve == shown[1].curve
        assert shown[0].images_seen == shown[1].images_seen
    assert switch_step(made) == 0


def test_the_control_resumes_across_its_switch(digits, tmp_path):
    whole = task(digits)
    plain, made = control("dino", whole, AtEpoch(0.5))
    want = train(whole, made)
    assert switch_step(made) == STEPS
    for stop in (STEPS - 1, STEPS, STEPS + 1):
        engine = Engine(checkpoint=tmp_path / f"{stop}.safetensors", every=0)
        broken = task(digits)
        with pytest.raises(Stop):
            train(
                broken, control("dino", broken, AtEpoch(0.5))[1],
                replace(engine, observers=[StopAt(stop)]),
            )  # fmt: skip
        again = task(digits)
        resumed, learner = control("dino", again, AtEpoch(0.5))
        assert train(again, learner, engine).curve == want.curve
        assert changed(state(plain.net), resumed.net) == set()


def test_a_control_of_two_methods_or_without_an_epoch_is_refused(digits):
    of = task(digits)
    with pytest.raises(BadRequest, match="not one method"):
        without_targets(inner("byol", of), inner("simclr", of), switch=NEVER)
    with pytest.raises(BadRequest, match="not one method"):
        without_targets(inner("dino", of), inner("dino", of, prototypes=2), switch=NEVER)
    with pytest.raises(BadRequest, match="give an epoch"):
        without_targets(inner("byol", of), inner("byol", of), switch=Adaptive())


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t[:, 0], "not floats .rows, dimension."),
        (lambda t: t.to(torch.uint8), "torch.uint8"),
        (lambda t: t[: ROWS - 1], f"targets for {ROWS - 1} rows, and row {ROWS - 1}"),
        (lambda t: torch.where(torch.arange(len(t))[:, None] < 3, 0, t), f"3 of the {ROWS} images"),
    ],
)
def test_targets_that_do_not_fit_are_refused(spoil, message, digits, targets):
    of = task(digits)
    with pytest.raises(BadRequest, match=message):
        accelerated(of, inner("simclr", of), spoil(targets), switch=NEVER)


# Data drawn anew for every epoch


def drawn(epoch):
    return torch.randperm(100, generator=torch.Generator().manual_seed(epoch))[:50].sort().values


def test_each_epoch_trains_on_its_own_rows(digits):
    images = digits[0][:100] * 0 + torch.arange(100, dtype=torch.uint8).view(-1, 1, 1, 1)
    data = Redrawn(images, digits[1][:100], drawn)
    assert (data.count, data.shape, data.device.type) == (50, (1, 8, 8), "cpu")
    order = torch.Generator().manual_seed(0)
    for epoch in range(3):
        start = order.get_state()
        parts = list(data.epoch(epoch, 16, order, Share(), 0))
        rows = torch.cat([part[2] for part in parts])
        assert torch.equal(rows.sort().values, drawn(epoch))
        assert not torch.equal(rows, drawn(epoch)), "shuffled"
        assert torch.equal(torch.cat([part[0] for part in parts])[:, 0, 0, 0].long(), rows)
        assert torch.equal(torch.cat([part[1] for part in parts]), digits[1][rows])
        order.set_state(start)
        late = list(data.epoch(epoch, 16, order, Share(), 2))
        assert torch.equal(torch.cat([part[2] for part in late]), rows[32:])
    assert not torch.equal(drawn(0), drawn(1))


def test_a_training_on_redrawn_rows_resumes_in_the_same_bytes(digits, targets, tmp_path):
    def begun():
        of = Task(Redrawn(*digits, drawn), 10, False, "one")
        return of, accelerated(of, inner("byol", of, 3), targets, switch=AtEpoch(0.5))

    of, straight = begun()
    want = train(of, straight)
    assert want.images_seen == 3 * 50 * 2
    engine = Engine(checkpoint=tmp_path / "half.safetensors", every=0)
    half, broken = begun()
    with pytest.raises(Stop):
        train(half, broken, replace(engine, observers=[StopAt(5)]))
    again, resumed = begun()
    assert train(again, resumed, engine).curve == want.curve
    assert changed(state(straight.net), resumed.net) == set()


def test_epochs_of_other_sizes_are_refused(digits, targets):
    data = Redrawn(*digits, lambda epoch: torch.arange(20 + epoch))
    of = Task(data, 10, False, "one")
    with pytest.raises(BadRequest, match="epoch 1 draws 21 images and epoch 0 draws 20"):
        train(of, inner("simclr", of))
    with pytest.raises(BadRequest, match="20 images of the first epoch have no target"):
        accelerated(of, inner("simclr", of), 0 * targets, switch=NEVER)


def test_the_arm_of_a_learner_made_by_hand(digits, targets):
    """An encoder of one's own needs no more than to be one."""
    of = task(digits)
    body = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 5), torch.nn.BatchNorm1d(5))
    before = copied(body)
    plain = Learner(body, body, lambda b: body(b.images / 255).square().mean(),
                    Schedule(2, 0.01, BATCH, "sgd", 0.0))  # fmt: skip
    made = accelerated(of, plain, targets, switch=AtEpoch(0.5))
    assert changed(before, body) == set(), "asking for its width changes nothing"
    assert body.training
    assert made.net[1].in_features == 5
    assert train(of, made).images_seen == 3 * ROWS
