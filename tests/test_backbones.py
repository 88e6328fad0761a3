"""Backbones: shapes, seeds, gradients, and no trace in torch's global generator."""

import pytest
import torch

from lotterybench.errors import BadRequest, UnknownName
from lotterybench.methods import Task
from lotterybench.methods.base.backbones import BACKBONES, build, dimension, encoder, seeded

SHAPES = [(8, 1), (16, 3), (28, 1), (32, 3)]


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def weights(model):
    return torch.cat([value.double().flatten() for value in model.state_dict().values()])


@pytest.mark.parametrize(("size", "in_chans"), SHAPES)
@pytest.mark.parametrize("name", BACKBONES)
def test_features_and_gradients(name, size, in_chans):
    model = build(name, in_chans=in_chans, size=size, seed=1)
    images = torch.rand(4, in_chans, size, size, generator=torch.Generator().manual_seed(0))
    features = model(images)
    assert features.shape == (4, dimension(model))
    assert 16 <= dimension(model) <= 128
    features.square().sum().backward()
    assert all(weight.grad is not None for weight in model.parameters())
    assert features.std(0).max() > 1e-3  # an encoder that maps all images alike cannot learn


@pytest.mark.parametrize("name", BACKBONES)
def test_the_seed_alone_decides_the_weights(name):
    before = torch.get_rng_state()
    first = weights(build(name, in_chans=1, size=8, seed=7))
    torch.rand(5)
    assert torch.equal(first, weights(build(name, in_chans=1, size=8, seed=7)))
    assert not torch.equal(first, weights(build(name, in_chans=1, size=8, seed=8)))
    torch.set_rng_state(before)
    build(name, in_chans=1, size=8, seed=7)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", BACKBONES)
def test_nothing_is_drawn_while_training(name):
    model = build(name, in_chans=1, size=8, seed=7).train()
    before = torch.get_rng_state()
    model(torch.zeros(4, 1, 8, 8))
    assert torch.equal(before, torch.get_rng_state())


def test_families_differ():
    counts = {
        sum(weight.numel() for weight in build(name, in_chans=3, size=16, seed=0).parameters())
        for name in BACKBONES
    }
    assert len(counts) == len(BACKBONES) >= 6


def test_encoder_reads_the_task():
    images = torch.zeros(4, 3, 16, 16, dtype=torch.uint8)
    task = Task(images, torch.zeros(4).long(), torch.arange(4), 2, True, "a run")
    wanted = build("vit", in_chans=3, size=16, seed=task.stream("init"))
    assert torch.equal(weights(encoder("vit", task)), weights(wanted))


def test_seeded_restores_after_an_error():
    before = torch.get_rng_state()
    with pytest.raises(RuntimeError), seeded(1):
        torch.rand(3)
        raise RuntimeError
    assert torch.equal(before, torch.get_rng_state())


def test_wrong_names_and_sizes_are_refused():
    with pytest.raises(UnknownName, match="did you mean 'resnet'"):
        build("resnett", in_chans=1, size=8, seed=0)
    for size in (4, 30):
        with pytest.raises(BadRequest, match="multiples of 4"):
            build("vit", in_chans=1, size=size, seed=0)
