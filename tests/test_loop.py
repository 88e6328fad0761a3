"""The training loop: what each step sees, the schedule, the count, and divergence."""

import math

import pytest
import torch
from torch import nn

from lotterybench.errors import BadRequest
from lotterybench.methods.base.loop import Diverged, batch_sizes, fit, warm_cosine

SETTINGS = {"lr": 0.1, "optimiser": "sgd", "weight_decay": 0.0}


def order(seed=0):
    return torch.Generator().manual_seed(seed)


def line():
    """A regression from one number, to be fitted to 2x + 1."""
    net = nn.Linear(1, 1)
    nn.init.zeros_(net.weight)
    nn.init.zeros_(net.bias)
    x = torch.linspace(-1, 1, 50)[:, None]
    return net, lambda rows: (net(x[rows]) - 2 * x[rows] - 1).square().mean()


@pytest.mark.parametrize(
    ("count", "batch", "want"),
    [
        (64, 32, [32, 32]),
        (70, 32, [32, 38]),
        (72, 32, [32, 32, 8]),
        (33, 32, [33]),
        (20, 32, [20]),
        (2, 32, [2]),
        (3, 1, [1, 1, 1]),
    ],
)
def test_batch_sizes(count, batch, want):
    assert batch_sizes(count, batch) == want


def test_no_rest_is_tiny_and_nothing_is_dropped():
    for count in range(2, 300):
        sizes = batch_sizes(count, 32)
        assert sum(sizes) == count
        assert all(size >= 8 for size in sizes) or sizes == [count]
        assert all(size == 32 for size in sizes[:-1])


def test_every_epoch_shows_every_row_once_in_a_new_order():
    net, loss = line()
    rows, parts = torch.arange(5, 45), []
    seen = fit(
        net,
        rows,
        lambda part: parts.append(part) or loss(part),
        epochs=3,
        batch=16,
        order=order(),
        **SETTINGS,
    )
    assert seen == 120
    assert [len(part) for part in parts] == [16, 16, 8] * 3
    epochs = torch.cat(parts).view(3, 40)
    assert (epochs.sort(1).values == rows).all()
    assert len(epochs.unique(dim=0)) == 3


def test_it_fits_a_line():
    net, loss = line()
    net.eval()
    fit(net, torch.arange(50), loss, epochs=20, batch=10, order=order(), **SETTINGS)
    assert loss(torch.arange(50)).item() < 1e-4
    assert not net.training


def test_the_schedule_rises_and_falls_to_nothing():
    rates = [warm_cosine(done, 200) for done in range(201)]
    assert rates[:20] == pytest.approx([(i + 1) / 20 for i in range(20)])
    assert max(rates) == rates[20] == 1
    assert rates[110] == pytest.approx(0.5)
    assert rates[200] == pytest.approx(0)
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert warm_cosine(0, 1) == 1


def test_steps_follow_the_schedule():
    """With a gradient of 1, no momentum to speak of: AdamW's first step is as long as its rate."""
    net = nn.Linear(1, 1, bias=False)
    before = net.weight.item()
    fit(
        net,
        torch.arange(2),
        lambda rows: net.weight.sum(),
        epochs=30,
        batch=2,
        lr=0.01,
        optimiser="adamw",
        weight_decay=0.0,
        order=order(),
    )
    total = 0.01 * sum(warm_cosine(done, 30) for done in range(30))
    assert before - net.weight.item() == pytest.approx(total, rel=1e-3)


def test_biases_and_norms_do_not_decay():
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    before = {name: value.clone() for name, value in net.named_parameters()}
    fit(
        net,
        torch.arange(4),
        lambda rows: 0 * sum(value.sum() for value in net.parameters()),
        epochs=1,
        batch=4,
        lr=0.1,
        optimiser="adamw",
        weight_decay=0.5,
        order=order(),
    )
    for name, value in net.named_parameters():
        want = 0.95 if value.ndim > 1 else 1.0
        torch.testing.assert_close(value, before[name] * want)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_divergence(bad):
    net, loss = line()
    with pytest.raises(Diverged, match="epoch 1 of 3"):
        fit(net, torch.arange(50), lambda rows: loss(rows) * bad, epochs=3, batch=9, order=order(),
            **SETTINGS)  # fmt: skip


@pytest.mark.parametrize(("epochs", "count"), [(0, 10), (3, 1), (3, 0)])
def test_nothing_to_train_on_is_refused(epochs, count):
    net, loss = line()
    with pytest.raises(BadRequest):
        fit(net, torch.arange(count), loss, epochs=epochs, batch=4, order=order(), **SETTINGS)
