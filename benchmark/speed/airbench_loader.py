"""Supervised training of airbench's network, fed by its own loader and by ours."""

import tempfile
from collections.abc import Iterable
from contextlib import nullcontext
from itertools import repeat
from pathlib import Path
from typing import Any
from unittest import mock

import airbench as theirs
import torch
import torch.nn.functional as F
from timing import CLASSES, Arms, Setting, measure, task_of
from torch import Tensor, nn

from lotterybench.methods.base.augment import crop
from lotterybench.methods.base.data import Batch, Resident
from lotterybench.methods.base.loop import make_optimizer, train
from lotterybench.methods.base.shape import Learner, Schedule

# by which its networks get to CUDA in half precision; elsewhere these do nothing
MOVES: dict[str, Any] = {name: lambda self, *_: self for name in ("cuda", "half")}


def airbench(setting: Setting) -> dict[str, Any]:
    """Measure an epoch a round, with the same steps whoever makes the batches.

    Its own training wants CUDA events and half precision. Elsewhere its network and its loader
    run with our steps, in float32, and its training is said not to have been measured.
    """
    task, data = task_of(setting)
    on_cuda = setting.device != "cpu"
    with nullcontext() if on_cuda else mock.patch.multiple(nn.Module, **MOVES):
        net = theirs.make_net94()
    kind = net[0].weight.dtype
    schedule = Schedule(1, 1e-4, setting.batch, "sgd", 0.0)  # slow: half precision overflows soon

    def loss(images: Tensor, labels: Tensor) -> Tensor:
        logits = net(images.to(kind, memory_format=torch.channels_last))
        return F.cross_entropy(logits.float(), labels, label_smoothing=0.2)

    def ours(batch: Batch) -> Tensor:
        images = crop(batch.images, pad=2, mirror=True, draws=batch.draws)
        return loss(images, batch.labels)

    def steps(batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        optimizer = make_optimizer(net, schedule)
        net.train()  # a training ends in evaluation mode, which is faster
        for images, labels in batches:
            optimizer.zero_grad()
            loss(images, labels).backward()  # type: ignore[no-untyped-call]
            optimizer.step()

    loader = loader_of(data, setting)
    fixed = next(iter(loader))
    arms: Arms = {
        "ours": lambda: train(task, Learner(net, net, ours, schedule)),
        "airbench's loader": lambda: steps(loader),
        "bare steps on a fixed batch": lambda: steps(repeat(fixed, len(loader))),
    }
    report = {"network": "airbench's 94", "weights": str(kind), **measure(arms, setting)}
    if not on_cuda:
        report["airbench's own training"] = "needs CUDA; not measured"
    return report


def loader_of(data: Resident, setting: Setting) -> Any:
    """Return airbench's loader of the same images, shifted and mirrored as it does."""
    with tempfile.TemporaryDirectory() as folder:
        content = {
            "images": data.images.cpu().permute(0, 2, 3, 1).contiguous(),
            "labels": data.labels.cpu(),
            "classes": [str(number) for number in range(CLASSES)],
        }
        torch.save(content, Path(folder) / "train.pt")
        changes = {"flip": True, "translate": 2}
        return theirs.CifarLoader(
            folder, batch_size=setting.batch, aug=changes, altflip=True, gpu=setting.device
        )
