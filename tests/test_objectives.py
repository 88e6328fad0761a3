"""Objectives and their parts, against brute force and lightly's own."""

import math

import pytest
import torch
import torch.nn.functional as F
from lightly.loss import DCLLoss, NTXentLoss
from lightly.loss.vicreg_loss import covariance_loss
from lightly.models.modules.nn_memory_bank import NNMemoryBankModule
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from lotterybench.errors import UnknownName
from lotterybench.methods import Task
from lotterybench.methods.base.backbones import BACKBONES, encoder, family
from lotterybench.methods.base.contrast import among_batch, among_negatives, among_views
from lotterybench.methods.base.data import Batch, Resident
from lotterybench.methods.base.draws import Draws
from lotterybench.methods.base.momentum import following, teacher_of
from lotterybench.methods.base.plan import in_float32, plan
from lotterybench.methods.mae import Autoencoder, split_patches
from lotterybench.methods.moco import grouped, shuffled
from lotterybench.methods.nnclr import nearest
from lotterybench.methods.supcon import supervised_contrast
from lotterybench.methods.vicreg import correlated


@pytest.fixture
def noise():
    return torch.Generator().manual_seed(0)


def rows(count, noise, width=5):
    return torch.randn(count, width, generator=noise)


def cosine(a, b):
    return float(a @ b / a.norm() / b.norm())


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_the_supervised_contrast_is_the_papers(noise, temperature):
    found, labels = rows(9, noise), torch.tensor([0, 1, 0, 2, 1, 2, 2, 0, 1])
    total = 0.0
    for i in range(9):
        others = [k for k in range(9) if k != i]
        below = sum(math.exp(cosine(found[i], found[k]) / temperature) for k in others)
        same = [p for p in others if labels[p] == labels[i]]
        total -= sum(
            math.log(math.exp(cosine(found[i], found[p]) / temperature) / below) for p in same
        ) / len(same)
    got = supervised_contrast(found, labels, temperature)
    assert got.item() == pytest.approx(total / 9, rel=1e-5)


def test_the_supervised_contrast_of_single_images_is_nt_xent(noise):
    """With a class for each image, the two views are all there is of it."""
    first, second = rows(6, noise), rows(6, noise)
    labels = torch.arange(6).repeat(2)
    want = NTXentLoss(0.3)(first, second)
    torch.testing.assert_close(supervised_contrast(torch.cat((first, second)), labels, 0.3), want)


def test_the_supervised_contrast_has_finite_gradients(noise):
    found = rows(8, noise).requires_grad_()
    supervised_contrast(found, torch.arange(4).repeat(2), 0.1).backward()
    assert found.grad.isfinite().all() and found.grad.abs().sum() > 0


def test_a_query_is_told_from_its_batch(noise):
    queries, keys = rows(6, noise), rows(6, noise)
    want = 0.0
    for i in range(6):
        odds = [math.exp(cosine(queries[i], key) / 0.2) for key in keys]
        want -= math.log(odds[i] / sum(odds)) / 6
    assert among_batch(queries, keys, 0.2).item() == pytest.approx(want, rel=1e-5)


def test_a_query_is_told_from_negatives_as_by_lightly(noise):
    queries, keys, bank = (F.normalize(rows(n, noise), dim=1) for n in (6, 6, 20))
    oracle = NTXentLoss(0.07, memory_bank_size=(20, 5))
    oracle.memory_bank.bank.copy_(bank)
    torch.testing.assert_close(among_negatives(queries, keys, bank, 0.07), oracle(queries, keys))


def test_neighbours_are_lightlys(noise):
    found, held = (F.normalize(rows(n, noise), dim=1) for n in (7, 30))
    oracle = NNMemoryBankModule((30, 5))
    oracle.bank.copy_(held)
    assert torch.equal(nearest(found, held), oracle(found))


def test_groups_have_batch_norms_of_their_own(noise):
    net, images = nn.BatchNorm1d(5), rows(32, noise)
    want = torch.cat([F.batch_norm(part, None, None, training=True) for part in images.split(16)])
    torch.testing.assert_close(grouped(net, images, 2), want)
    torch.testing.assert_close(grouped(net, images, 1), net(images))
    # 32 images in groups of 8 at least
    torch.testing.assert_close(grouped(net, images, 99), grouped(net, images, 4))


def test_shuffled_groups_return_in_order(noise):
    net, images = nn.Linear(5, 3), rows(32, noise)
    got = shuffled(net, images, 4, Draws(noise, 32))
    torch.testing.assert_close(got, net(images))
    assert not got.requires_grad
    norm = nn.BatchNorm1d(5)
    assert not torch.allclose(shuffled(norm, images, 4, Draws(noise, 32)), grouped(norm, images, 4))


def batch_at(step, steps):
    return Batch(None, None, None, None, 0, step, steps)


def test_a_teacher_follows_its_student():
    student = nn.Linear(2, 2)
    teacher = teacher_of(student)
    assert not any(value.requires_grad for value in teacher.parameters())
    assert all(value.requires_grad for value in student.parameters())
    start = teacher.weight.clone()
    with torch.no_grad():
        student.weight.add_(1)
    follow = following(student, teacher, 0.9)
    follow(batch_at(0, 101))
    torch.testing.assert_close(teacher.weight, start + 0.1)
    follow(batch_at(50, 101))  # half way: momentum .95
    torch.testing.assert_close(teacher.weight, start + 1 - 0.9 * 0.95)
    before = teacher.weight.clone()
    follow(batch_at(100, 101))  # the end: momentum 1
    assert torch.equal(teacher.weight, before)


def test_a_loss_is_taken_in_float32(noise):
    given = rows(4, noise).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        assert (given @ given.T).dtype == torch.bfloat16
        got = in_float32(lambda a, b: a @ b.T, given, given)
    assert got.dtype == torch.float32
    assert torch.equal(got, given.float() @ given.float().T)


@pytest.mark.parametrize("name", BACKBONES)
def test_a_plan_is_the_backbones_unless_told(name):
    own = plan(name, 3, 0.1, 8)
    assert (own.optimiser, own.weight_decay) == (family(name).optimiser, family(name).weight_decay)
    told = plan(name, 3, 0.1, 8, 0.0, clip=2.0)
    assert (told.weight_decay, told.clip) == (0.0, 2.0)


def test_a_plan_needs_a_known_backbone():
    with pytest.raises(UnknownName):
        plan("alexnet", 1, 0.1, 8)


@pytest.mark.parametrize(
    ("patches", "masked", "kept"), [(64, 0.75, 16), (4, 0.75, 1), (4, 0.99, 1), (4, 0.0, 3)]
)
def test_each_image_hides_patches_of_its_own(patches, masked, kept, noise):
    seen, hidden = split_patches(Draws(noise, 50), patches, masked)
    assert seen.shape == (50, kept)
    both = torch.cat((seen, hidden), dim=1)
    assert (both.sort(1).values == torch.arange(patches)).all()
    assert len(seen.sort(1).values.unique(dim=0)) > 1


def transformer(pooling):
    """A vision transformer that pools its patches, as ours do, or one with a class token."""
    if pooling == "avg":
        images = torch.zeros(2, 3, 16, 16, dtype=torch.uint8)
        data = Resident(images, torch.zeros(2).long(), torch.arange(2))
        return encoder("vit", Task(data, 2, True, "mae"))
    return VisionTransformer(16, 4, num_classes=0, embed_dim=32, depth=2, num_heads=2)


@pytest.mark.parametrize("pooling", ["avg", "token"])
def test_hidden_patches_stay_hidden(noise, pooling):
    """What the hidden patches show changes no bit of what is painted; what the kept show does."""
    net = Autoencoder(transformer(pooling), depth=1)
    images = torch.randn(3, 3, 16, 16, generator=noise)
    kept, hidden = split_patches(Draws(noise, 3), 16, 0.75)
    painted = net(images, kept, hidden)
    assert painted.shape == (3, 12, 48)
    patch = torch.zeros(16, 16, dtype=torch.bool)
    for which, same in ((hidden, True), (kept, False)):
        other = images.clone()
        for i, places in enumerate(which):
            for place in places.tolist():
                patch.zero_()
                down, along = divmod(place, 4)
                patch[4 * down : 4 * down + 4, 4 * along : 4 * along + 4] = True
                other[i][:, patch] += 5
        assert torch.equal(net(other, kept, hidden), painted) == same


@pytest.mark.parametrize("pooling", ["avg", "token"])
def test_with_all_patches_kept_it_encodes_as_the_transformer_does(noise, pooling):
    vit = transformer(pooling)
    net = Autoencoder(vit, depth=1)
    images = torch.randn(3, 3, 16, 16, generator=noise)
    everything = torch.arange(16 + vit.num_prefix_tokens).expand(3, -1)
    tokens = net.encoder.encode(images, idx_keep=everything)
    pooled = vit.fc_norm(tokens.mean(1) if pooling == "avg" else tokens[:, 0])
    torch.testing.assert_close(pooled, vit(images))


@pytest.mark.parametrize(("theirs", "decoupled"), [(NTXentLoss, False), (DCLLoss, True)])
@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_contrast_among_views_is_lightlys(noise, theirs, decoupled, temperature):
    """The loss, and its gradient for both views."""
    first, second = (rows(7, noise).requires_grad_() for _ in range(2))
    wanted = theirs(temperature)(first, second)
    want = torch.autograd.grad(wanted, (first, second))
    found = among_views(first, second, temperature, decoupled)
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(torch.autograd.grad(found, (first, second)), want)


def test_covariances_are_lightlys(noise):
    outputs = rows(12, noise)
    torch.testing.assert_close(correlated(outputs), covariance_loss(outputs))
