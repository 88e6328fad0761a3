"""Backbones: shapes, grids, seeds, gradients, widths, and no trace in torch's global generator."""

import re
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lotterybench.errors import BadRequest, UnknownName
from lotterybench.methods import Task
from lotterybench.methods.base.architectures import ARCHITECTURES, architecture
from lotterybench.methods.base.backbones import (
    BACKBONES,
    build,
    dimension,
    encoder,
    family,
    grid,
    seeded,
)
from lotterybench.methods.base.data import Resident
from lotterybench.methods.base.loop import make_optimizer
from lotterybench.methods.base.shape import Schedule

pytestmark = pytest.mark.slow

SMALL = [name for name, facts in ARCHITECTURES.items() if facts.smallest == 8]
NAMED = [name for name in ARCHITECTURES if name not in SMALL]
WIDENED = [name for name, facts in ARCHITECTURES.items() if facts.widens]
QUICK = {"cifar-resnet20", "mobilenetv3-small", "resnet8", "resnet20"}  # to build and to run
# What divides the image's side, where more than an eighth: one cell may be left.
SHRUNK = {"convnext": 16, "resnet18-imagenet-stem": 32, "vgg16-bn": 16, "vgg19-bn": 16}


def each(names, *shape):
    """Return one set of parameters per backbone; those that take long are marked."""
    quick = {*SMALL, *QUICK}
    return [
        pytest.param(name, *shape, marks=() if name in quick else pytest.mark.slow)
        for name in names
    ]


SHAPES = [
    *(row for shape in [(8, 1), (16, 3), (28, 1), (32, 3)] for row in each(SMALL, *shape)),
    *(row for shape in [(16, 3), (28, 1), (32, 3)] for row in each(NAMED, *shape)),
    *each(["resnet20", "resnet18", "vit-tiny", "swin-tiny", "pvt-v2-b0"], 64, 3),
    *each(["cifar-resnet56", "resnet18-imagenet-stem", "vgg16-bn"], 64, 3),
]

# What built the frozen results: parameters, sum of their sizes and mean of value times place, of
# seed 7 with images of 8 pixels and 1 channel, and of 16 and 3.
PINNED = {
    ("convmixer", 8, 1): (10560, 1140.0837, 134.4523),
    ("convmixer", 16, 3): (43136, 2983.7489, 319.4494),
    ("convnext", 8, 1): (69792, 3586.4420, 140.4010),
    ("convnext", 16, 3): (283840, 10362.3915, 280.1376),
    ("mixer", 8, 1): (35464, 3524.3115, 142.8443),
    ("mixer", 16, 3): (56976, 5687.2703, 213.1135),
    ("mobilenet", 8, 1): (7536, 1716.1726, 136.7383),
    ("mobilenet", 16, 3): (28848, 4894.1982, 326.3434),
    ("repvgg", 8, 1): (26160, 1625.8573, 12.8015),
    ("repvgg", 16, 3): (114528, 5420.3005, 37.7635),
    ("resnet", 8, 1): (72432, 4223.6353, 123.9263),
    ("resnet", 16, 3): (307360, 13060.1969, 270.8929),
    ("resnext", 8, 1): (10608, 1834.4532, 132.0953),
    ("resnext", 16, 3): (36896, 5035.7433, 325.4450),
    ("vit", 8, 1): (68416, 6389.7157, 161.2335),
    ("vit", 16, 3): (104704, 10108.8476, 251.5509),
}


@pytest.fixture(autouse=True)
def strict():
    """One thread, and an error from any operation whose result may differ between runs."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(threads)


def weights(model):
    return torch.cat([value.detach().double().flatten() for value in model.state_dict().values()])


def size_of(model):
    return sum(weight.numel() for weight in model.parameters())


def noise(count, in_chans, size):
    return torch.randn(count, in_chans, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("name", "size", "in_chans"), SHAPES)
def test_features_gradients_and_grid(name, size, in_chans):
    model = build(name, in_chans=in_chans, size=size, seed=1)
    images = noise(4, in_chans, size)
    before = torch.get_rng_state()
    features = model.train()(images)
    assert torch.equal(before, torch.get_rng_state()), "something is drawn while training"
    assert features.shape == (4, dimension(model))
    features.square().sum().backward()
    assert [key for key, weight in model.named_parameters() if weight.grad is None] == []
    assert features.std(0).max() > 1e-3  # an encoder that maps all images alike cannot learn
    side = grid(model, in_chans, size)
    if name in SHRUNK:
        assert side == max(1, size // SHRUNK[name])
    else:
        assert size // 8 <= side <= 16 and side >= 2
    assert model.training, "looking at the grid changed the mode"
    model.eval()
    assert torch.equal(model(images), model(images))


@pytest.mark.parametrize("name", each(ARCHITECTURES))
def test_the_seed_alone_decides_the_weights(name):
    size = ARCHITECTURES[name].smallest
    before = torch.get_rng_state()
    first = weights(build(name, in_chans=1, size=size, seed=7))
    assert torch.equal(before, torch.get_rng_state())
    torch.rand(5)
    assert torch.equal(first, weights(build(name, in_chans=1, size=size, seed=7)))
    assert not torch.equal(first, weights(build(name, in_chans=1, size=size, seed=8)))


@pytest.mark.parametrize(("name", "size", "in_chans"), PINNED)
def test_frozen_results_keep_their_initial_weights(name, size, in_chans):
    model = build(name, in_chans=in_chans, size=size, seed=7, width=1.0)
    found = torch.cat([weight.detach().double().flatten() for weight in model.parameters()])
    placed = (found * torch.arange(len(found))).mean().item()
    got = (len(found), found.abs().sum().item(), placed)
    assert got == pytest.approx(PINNED[name, size, in_chans], abs=1e-4, rel=0)


@pytest.mark.parametrize("name", each(ARCHITECTURES))
def test_it_learns_a_batch_at_its_own_rate(name):
    """Twelve steps on 32 noisy images of four classes at least halve the loss.

    There is no warm-up, so that the first steps of the deepest net make it larger.
    """
    facts = ARCHITECTURES[name]
    labels = torch.arange(32) % 4
    images = noise(4, 1, facts.smallest)[labels] + noise(32, 1, facts.smallest) / 2
    body = build(name, in_chans=1, size=facts.smallest, seed=3)
    with seeded(4):
        net = nn.Sequential(body, nn.Linear(dimension(body), 4))
    plan = Schedule(1, facts.rate, 32, facts.optimiser, facts.weight_decay)
    optimizer = make_optimizer(net, plan)
    losses = []
    for _ in range(12):
        loss = F.cross_entropy(net(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2, losses


@pytest.mark.parametrize("name", each(WIDENED))
def test_width_multiplies_the_channels(name):
    size = 16
    images = noise(2, 3, size)
    plain, narrow = (build(name, in_chans=3, size=size, seed=1, width=w) for w in (1.0, 0.5))
    assert torch.equal(weights(plain), weights(build(name, in_chans=3, size=size, seed=1)))
    assert dimension(narrow) == pytest.approx(dimension(plain) / 2, rel=0.05)
    assert 2 < size_of(plain) / size_of(narrow) < 4.2
    for width in (0.5, 0.75):
        model = build(name, in_chans=3, size=size, seed=1, width=width)
        assert model(images).shape == (2, dimension(model))
        assert grid(model, 3, size) == grid(plain, 3, size)


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name not in WIDENED])
def test_one_width_only_is_said(name):
    with pytest.raises(BadRequest, match=f"{name} has one width only"):
        build(name, in_chans=3, size=16, seed=0, width=2)


def test_families_differ():
    counts = {size_of(build(name, in_chans=3, size=16, seed=0)) for name in [*SMALL, *QUICK]}
    assert len(counts) == len(SMALL) + len(QUICK)


def test_resnet20_has_the_size_of_the_paper():
    """He et al. 2016, table 6: 0.27 M parameters, the classifier and its 650 included."""
    model = build("resnet20", in_chans=3, size=32, seed=0)
    assert round((size_of(model) + 650) / 1e6, 2) == 0.27
    assert model.stem.conv.out_channels == 16 and model.stem.conv.stride == (2, 2)


def test_the_table_tells_of_every_backbone():
    assert sorted(ARCHITECTURES) == list(BACKBONES)
    assert len(NAMED) >= 16
    for name, facts in ARCHITECTURES.items():
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
        found = family(name)
        assert (found.group, found.optimiser, found.rate) == (
            facts.group,
            facts.optimiser,
            facts.rate,
        )
        assert found.weight_decay == facts.weight_decay
        assert (found.memory_format == torch.channels_last) == facts.channels_last
    assert architecture("resnet18").group == architecture("resnet").group == "resnet"
    assert architecture("vit-tiny").group == "vit"


def test_the_table_needs_no_torch():
    code = (
        "import sys; from lotterybench.methods.base.architectures import check\n"
        "check('vit-tiny', size=32, width=2); print('torch' in sys.modules, 'timm' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "False"]


def test_encoder_reads_the_task():
    images = torch.zeros(4, 3, 16, 16, dtype=torch.uint8)
    data = Resident(images, torch.zeros(4).long(), torch.arange(4))
    task = Task(data, 2, True, "a run")
    for width in (1.0, 0.5):
        wanted = build("vit", in_chans=3, size=16, seed=task.stream("init"), width=width)
        assert torch.equal(weights(encoder("vit", task, width)), weights(wanted))


def test_seeded_restores_after_an_error():
    before = torch.get_rng_state()
    with pytest.raises(RuntimeError), seeded(1):
        torch.rand(3)
        raise RuntimeError
    assert torch.equal(before, torch.get_rng_state())


def test_wrong_names_sizes_and_widths_are_refused():
    with pytest.raises(UnknownName, match="did you mean 'resnet'"):
        build("resnett", in_chans=1, size=8, seed=0)
    for size in (4, 30):
        with pytest.raises(BadRequest, match="vit takes multiples of 4 from 8 up"):
            build("vit", in_chans=1, size=size, seed=0)
    with pytest.raises(BadRequest, match="resnet18 takes multiples of 4 from 16 up"):
        build("resnet18", in_chans=1, size=8, seed=0)
    for width in (0.0, -1.0, 100.0, float("nan"), float("inf")):
        with pytest.raises(BadRequest, match="between 1/8 and 8"):
            build("vit", in_chans=1, size=8, seed=0, width=width)
