"""A training that stops anywhere and goes on ends in the same bits."""

import copy

import pytest
import torch
from torch import nn

from lotterybench.methods import Task
from lotterybench.methods.base import Learner, Schedule
from lotterybench.methods.base.data import Resident
from lotterybench.methods.base.loop import Engine, train


class Stop(Exception):
    """The interruption."""


class Bank(nn.Module):
    """State of the kinds that are easily lost: buffers that a state_dict leaves out."""

    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.zeros(1), persistent=False)


def learner(task, optimiser="sgd", stop=None):
    """A small net with convolutions in channels_last, batch norm, dropout and a queue."""
    torch.manual_seed(3)
    body = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2), nn.Flatten()
    ).to(memory_format=torch.channels_last)
    head, bank = nn.Linear(8 * 36, 4), Bank()
    net = nn.ModuleList([body, head, bank])
    noise = task.generator("noise")

    def loss(batch):
        if batch.step == stop:
            raise Stop
        images = batch.images.float() / 255 + 0.1 * batch.draws.uniform(-1, 1).view(-1, 1, 1, 1)
        out = head(body(images))
        bank.seen += out.detach().mean()
        scale = 1 + torch.rand((), generator=noise) + bank.seen.squeeze().tanh()
        return nn.functional.cross_entropy(out, batch.labels) * scale, out

    return Learner(body, net, loss, Schedule(4, 0.05, 16, optimiser, 1e-3))


def task(run="one"):
    noise = torch.Generator().manual_seed(0)
    images = torch.randint(256, (50, 3, 8, 8), dtype=torch.uint8, generator=noise)
    return Task(Resident(images, torch.arange(50) % 4, torch.arange(50)), 4, True, run)


def final(made):
    state = {**dict(made.net.named_parameters()), **dict(made.net.named_buffers())}
    return torch.cat([value.double().flatten() for value in state.values()])


@pytest.mark.parametrize("optimiser", ["sgd", "adamw", "lars"])
@pytest.mark.parametrize("stop", [0, 1, 2, 3, 5, 11])
def test_stopped_anywhere_it_ends_in_the_same_bits(tmp_path, stop, optimiser):
    """Three steps an epoch: stops at an epoch's start, middle and end."""
    first, straight = task(), None
    straight = learner(first, optimiser)
    want = train(first, straight)
    file = tmp_path / "half.safetensors"
    engine = Engine(checkpoint=file, every=0)
    half = task()
    with pytest.raises(Stop):
        train(half, learner(half, optimiser, stop), engine)
    assert file.is_file() == (stop > 0)
    rest = task()
    resumed = learner(rest, optimiser)
    got = train(rest, resumed, engine)
    assert torch.equal(final(straight), final(resumed))
    assert got.curve == want.curve
    assert got.images_seen == want.images_seen


def test_stopped_twice(tmp_path):
    engine = Engine(checkpoint=tmp_path / "half.safetensors", every=0)
    for stop in (4, 7):
        half = task()
        with pytest.raises(Stop):
            train(half, learner(half, stop=stop), engine)
    rest, first = task(), task()
    resumed, straight = learner(rest), learner(first)
    assert train(rest, resumed, engine).curve == train(first, straight).curve
    assert torch.equal(final(straight), final(resumed))


def test_a_resumed_run_skips_what_is_done(tmp_path):
    engine = Engine(checkpoint=tmp_path / "half.safetensors", every=0)
    half = task()
    with pytest.raises(Stop):
        train(half, learner(half, stop=7), engine)
    steps, rest = [], task()
    made = learner(rest)
    watched = Learner(
        made.encoder, made.net, lambda batch: steps.append(batch.step) or made.loss(batch),
        made.schedule,
    )  # fmt: skip
    train(rest, watched, engine)
    assert steps == list(range(7, 12))


@pytest.mark.parametrize("spoil", ["another run", "torn", "another net"])
def test_what_is_no_checkpoint_of_this_run_is_not_used(tmp_path, spoil):
    file = tmp_path / "half.safetensors"
    half = task("other" if spoil == "another run" else "one")
    with pytest.raises(Stop):
        train(half, learner(half, stop=7), Engine(checkpoint=file, every=0))
    if spoil == "torn":
        file.write_bytes(file.read_bytes()[:-100])
    first, rest = task(), task()
    straight, made = learner(first), learner(rest)
    if spoil == "another net":
        more = nn.Linear(2, 2)
        straight.net.append(copy.deepcopy(more))
        made.net.append(more)
    train(first, straight)
    train(rest, made, Engine(checkpoint=file, every=1e9))
    assert torch.equal(final(straight), final(made))


def test_rarely_means_rarely(tmp_path):
    file = tmp_path / "half.safetensors"
    one = task()
    train(one, learner(one), Engine(checkpoint=file, every=1e9))
    assert not file.exists()
