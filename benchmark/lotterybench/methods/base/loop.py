"""The one training loop: shuffled batches, warm-up and cosine, whatever the objective."""

import math
from collections.abc import Callable

import torch
from timm.optim._optim_factory import create_optimizer_v2
from torch import Generator, Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from lotterybench.errors import BadRequest

WARM_UP = 0.1  # of all steps, so that a shorter training ends its decay on time


class Diverged(ValueError):
    """The training loss is no longer a finite number."""


def fit(
    net: nn.Module,
    rows: Tensor,
    step: Callable[[Tensor], Tensor],
    *,
    epochs: int,
    lr: float,
    batch: int,
    optimiser: str,
    weight_decay: float,
    order: Generator,
) -> int:
    """Train `net` in place for `epochs` passes over `rows`, and return the rows passed.

    `rows` is int64 (n,); each batch of it, reshuffled per epoch by `order`, goes to `step`, which
    returns the loss. `optimiser` is one of timm's names (`sgd` is Nesterov's with momentum .9);
    biases and norms do not decay. Raises `Diverged` after an epoch whose loss was not finite, and
    `BadRequest` for no epochs or fewer than two rows, of which batch norms can make nothing.
    """
    if epochs < 1 or len(rows) < 2:
        raise BadRequest(
            f"{epochs} epochs of {len(rows)} images; take at least 1 epoch of 2 images"
        )
    sizes = batch_sizes(len(rows), batch)
    steps = epochs * len(sizes)
    optimizer = create_optimizer_v2(
        net, opt=optimiser, lr=lr, weight_decay=weight_decay, momentum=0.9, fused=True
    )
    schedule = LambdaLR(optimizer, lambda done: warm_cosine(done, steps))
    net.train()
    for epoch in range(epochs):
        shuffled = rows[torch.randperm(len(rows), generator=order, device=rows.device)]
        total = torch.zeros((), device=rows.device)
        for part in torch.split(shuffled, sizes):
            optimizer.zero_grad()
            loss = step(part)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            total += loss.detach()
        if not math.isfinite(total.item()):  # one look per epoch: each waits for the device
            raise Diverged(f"the loss was not finite in epoch {epoch + 1} of {epochs} (lr {lr:g})")
    net.eval()
    return epochs * len(rows)


def batch_sizes(count: int, batch: int) -> list[int]:
    """Split `count` rows into batches; a rest below a quarter batch joins the last whole one.

    A batch norm over very few images would be noise.
    """
    whole, rest = divmod(count, batch)
    if whole and 0 < rest < batch / 4:
        return [batch] * (whole - 1) + [batch + rest]
    return [batch] * whole + [rest] * (rest > 0)


def warm_cosine(done: int, steps: int) -> float:
    """Return the learning rate after `done` of `steps` steps, as a part of its peak.

    It rises linearly over the first tenth (at least one step) and falls to 0 as half a cosine
    (Loshchilov and Hutter 2017).
    """
    rise = math.ceil(WARM_UP * steps)
    if done < rise:
        return (done + 1) / rise
    return (1 + math.cos(math.pi * (done - rise) / max(1, steps - rise))) / 2
