"""Mixup against timm's, and the share of a label against its distribution."""

import numpy as np
import pytest
import torch
from scipy import stats
from timm.data.mixup import Mixup
from timm.loss import SoftTargetCrossEntropy

from lotterybench.errors import BadRequest
from lotterybench.methods import Task, method
from lotterybench.methods.base.augment import crop
from lotterybench.methods.base.data import Batch, Resident
from lotterybench.methods.base.draws import Draws
from lotterybench.methods.base.mixing import mixed

CLASSES = 5


@pytest.fixture
def timms(monkeypatch):
    """timm's Mixup, which takes the shares that the test tells instead of drawing them."""

    def of(share, smoothing=0.0):
        mixup = Mixup(mixup_alpha=1.0, label_smoothing=smoothing, num_classes=CLASSES)
        monkeypatch.setattr(mixup, "_params_per_batch", lambda: (share, False))
        return lambda images, labels: mixup(images.clone(), labels)

    return of


def floats(count=8):
    return torch.randn(count, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("step", range(3))
def test_images_are_timms(timms, step):
    images, labels = floats(), torch.arange(8) % CLASSES
    found, share = mixed(images, 0.4, 11, step)
    want, _ = timms(share)(images, labels)
    torch.testing.assert_close(found, want, atol=1e-6, rtol=0)
    assert not torch.allclose(found, images)


def test_the_loss_is_timms(timms):
    """Supervised training with mixup minimises timm's soft-target loss on timm's mixed labels."""
    images = floats().mul(60).add(128).clamp(0, 255).byte()
    labels = torch.arange(8) % CLASSES
    task = Task(Resident(images, labels, torch.arange(8)), CLASSES, True, "mixed")
    settings = {"epochs": 1, "lr": 0.1, "backbone": "vit", "smoothing": 0.2, "mixup": 0.7}
    learner = method["supervised"](task, **settings)

    def draws():
        return Draws(torch.Generator().manual_seed(3), 8)

    batch = Batch(images, labels, torch.arange(8), draws(), epoch=0, step=4, steps=9)
    loss, logits = learner.loss(batch)
    cropped = crop(images, pad=2, mirror=True, draws=draws())
    _, share = mixed(cropped, 0.7, task.stream("mixup"), 4)
    blend, target = timms(share, smoothing=0.2)(cropped, labels)
    torch.testing.assert_close(logits, learner.classifier(learner.encoder(blend)))
    torch.testing.assert_close(loss, SoftTargetCrossEntropy()(logits, target))


def test_seed_and_step_alone_decide_the_share():
    few, many = floats(2), floats(8)
    state, before = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    share = mixed(few, 0.4, 11, 3)[1]
    assert mixed(many, 0.4, 11, 3)[1] == share
    assert len({share, mixed(few, 0.4, 11, 4)[1], mixed(few, 0.4, 12, 3)[1]}) == 3
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("alpha", [0.2, 1.0, 8.0])
def test_shares_follow_the_beta_distribution(alpha):
    image = torch.zeros(1, 1, 1, 1)
    shares = [mixed(image, alpha, 5, step)[1] for step in range(1000)]
    assert 0 <= min(shares) and max(shares) <= 1
    assert stats.kstest(shares, stats.beta(alpha, alpha).cdf).pvalue > 0.01
    assert stats.kstest(shares, stats.beta(2 * alpha, 2 * alpha).cdf).pvalue < 0.01


@pytest.mark.parametrize("alpha", [0.0, -1.0, float("nan")])
def test_alphas_that_mean_nothing_are_refused(alpha):
    with pytest.raises(BadRequest, match="not above 0"):
        mixed(floats(), alpha, 0, 0)
