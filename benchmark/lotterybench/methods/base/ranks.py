"""One training by several processes: each takes its part of every batch, gradients are averaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from timm.layers.norm_act import convert_sync_batchnorm
from torch import Tensor, nn
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from lotterybench.errors import BadRequest
from lotterybench.methods.base.checkpoint import Place
from lotterybench.methods.base.data import Batch, Share
from lotterybench.methods.base.shape import Learner

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

Outputs = Tensor | tuple[Tensor, Tensor]
PATIENCE = timedelta(minutes=10)  # for a rank that computes the same step more slowly


@contextmanager
def joined(store: Store, share: Share, device: torch.device) -> Iterator[None]:
    """Let this process talk to the others of `share.world` inside: nccl on CUDA, else gloo."""
    cuda = device.type == "cuda"
    dist.init_process_group(
        "nccl" if cuda else "gloo",
        store=store,
        rank=share.rank,
        world_size=share.world,
        timeout=PATIENCE,
        device_id=device if cuda else None,
    )
    try:
        yield
    finally:
        dist.destroy_process_group()


class Objective(nn.Module):
    """A learner's modules with its loss as `forward`, which is what torch can distribute."""

    def __init__(self, learner: Learner, loss: Callable[[Batch], Outputs]) -> None:
        super().__init__()
        self.net, self.loss = learner.net, loss

    def forward(self, batch: Batch) -> Outputs:
        """Return the mean loss of this process's part, and outputs if the learner has them."""
        return self.loss(batch)


def prepare(learner: Learner, share: Share, sizes: list[int]) -> None:
    """Let batch norms on CUDA take their statistics over all processes' parts of a batch.

    torch has that for CUDA alone. On CPUs each process normalises by its own part, and the running
    statistics are those of rank 0: a net with batch norms trains like one of smaller batches.
    Raises `BadRequest` where one of the batches' `sizes` would leave a process without an image.
    """
    if share.world == 1:
        return
    if min(sizes) < share.world:
        raise BadRequest(
            f"a batch of {min(sizes)} images cannot be shared by {share.world} processes; "
            "start fewer"
        )
    if next(learner.net.parameters()).device.type == "cuda":
        convert_sync_batchnorm(learner.net)  # type: ignore[no-untyped-call]  # timm's: torch's would drop timm's activations


def distributed(learner: Learner, loss: Callable[[Batch], Outputs]) -> Callable[[Batch], Outputs]:
    """Return the loss, averaging gradients over processes in its backward pass."""
    device = next(learner.net.parameters()).device
    found: Callable[[Batch], Outputs] = DistributedDataParallel(
        Objective(learner, loss),
        device_ids=[device] if device.type == "cuda" else None,
        find_unused_parameters=True,  # a method may leave parts of its net out of a step
    )
    return found


def taken(learner: Learner, share: Share, whole: int) -> tuple[slice, float]:
    """Return the rows of a batch that this process computes on, and what its mean loss counts.

    The mean over processes of losses times that is the batch's mean loss. An objective without a
    classifier may compare images of all processes, and for that needs equal parts: of a batch that
    `world` does not divide, the last rows of the larger parts sit out.
    """
    part = share.of(whole)
    if learner.classifier is not None:
        return part, (part.stop - part.start) * share.world / whole
    return slice(part.start, part.start + whole // share.world), 1.0


def mean(value: Tensor, share: Share) -> Tensor:
    """Return the mean of a scalar over processes, detached."""
    total = value.detach()
    if share.world > 1:
        total = total.clone()
        dist.all_reduce(total)
        total /= share.world
    return total


def check_place(place: Place, share: Share) -> None:
    """Raise `BadRequest` unless all processes go on from the same checkpoint."""
    if share.world == 1:
        return
    here = torch.tensor([place.epoch, place.batches], device=place.total.device)
    found = [torch.empty_like(here) for _ in range(share.world)]
    dist.all_gather(found, here)
    if any(not torch.equal(other, here) for other in found):
        raise BadRequest("the processes see different checkpoints; give a folder that all share")


def meet() -> tuple[Store, Share]:
    """Return the store through which torchrun's processes meet, and this process's share."""
    store, rank, world = next(rendezvous("env://"))
    return store, Share(rank, world)
