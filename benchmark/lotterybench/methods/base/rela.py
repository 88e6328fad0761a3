"""ReLA's training (Sun et al. 2024): features first match targets that an earlier model gave.

Stage 1 turns an encoder's features linearly into an image's target; stage 2 is a method's own
objective with its own views. The mixture is a switch from one to the other, as in the public code
(LINs-lab/ReLA), which leaves the linear map as it is at first; here it may be trained too.
"""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lotterybench.errors import BadRequest
from lotterybench.methods.base.augment import two_views
from lotterybench.methods.base.backbones import seeded
from lotterybench.methods.base.data import Batch, Data, Resident
from lotterybench.methods.base.draws import Draws
from lotterybench.methods.base.plan import in_float32
from lotterybench.methods.base.recipe import settings_of
from lotterybench.methods.base.redrawn import Redrawn
from lotterybench.methods.base.shape import Learner, Task
from lotterybench.methods.base.switching import Adaptive, AtEpoch, Switch

VIEWS = 2  # of stage 1
# Crops of half of the image at least, jitter .8/.8/.8/.2, nothing solarised.
MILD = {"smallest": 0.5, "strength": 2.0, "solarised": 0.0}


def accelerated(
    task: Task,
    inner: Learner,
    targets: Tensor,
    *,
    switch: Adaptive | AtEpoch,
    train_projection: bool = True,
) -> Learner:
    """Return a learner whose stage 1 matches targets and whose stage 2 is `inner`.

    `targets` are floats (N, d) on the task's device, one for each row of the base. Stage 1 trains
    the encoder and, unless `train_projection` is False, a linear map of its features from the
    stream `projection`. `inner`'s heads and classifier get no gradient there and stay as they
    are; what it does after a step, such as a teacher's update, is done in both stages. Optimiser
    and schedule are `inner`'s and go on through the switch. Raises `BadRequest` for targets of
    another shape, and where rows to train on have none (all 0).
    """
    _check(task.data, targets)
    with seeded(task.stream("projection")):
        projection = nn.Linear(_width(inner.encoder, task), targets.shape[1])
    projection.requires_grad_(train_projection).to(task.device)
    stages = Switch(switch, inner.schedule.epochs).to(task.device)

    def loss(batch: Batch) -> Tensor | tuple[Tensor, Tensor]:
        if not stages.first_stage(batch):
            stages.count(batch, inner.views, second=True)
            return inner.loss(batch)
        stages.count(batch, VIEWS)
        views = mild_views(batch.images, mirror=task.mirror, draws=batch.draws)
        wanted = targets[batch.rows].repeat(VIEWS, 1)
        found = in_float32(mismatch, projection(inner.encoder(views)), wanted)
        stages.observe(found, len(batch.images))
        return found

    return replace(
        inner,
        net=nn.ModuleList((inner.net, projection, stages)),
        loss=loss,
        views=max(VIEWS, inner.views),
        seen=stages.seen,
    )


def mild_views(images: Tensor, *, mirror: bool, draws: Draws) -> Tensor:
    """Return stage 1's two views of every image, all first views before all second ones.

    uint8 (n, C, H, W) to normalised float (2n, C, H, W): random resized crop of half to all of
    the area, mirror, colour jitter .8/.8/.8/.2 with probability .8, grey with probability .2, no
    blur. One-channel images have no colour: of the jitter, brightness and contrast remain.
    """
    return two_views(images, mirror=mirror, draws=draws, **MILD)


def mismatch(found: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean of 1 − cosine over rows (n, d), in 0 to 2.

    Over both views of each image: half of the sum over views, averaged over images.
    """
    return (1 - F.cosine_similarity(found, wanted, dim=1)).mean()


def shuffled(targets: Tensor, rows: Tensor, seed: int) -> Tensor:
    """Return targets that changed places among `rows` at random: a control (protocol §10).

    `targets` (N, d), `rows` int64 (n,); other rows keep theirs.
    """
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
    found = targets.clone()
    found[rows] = targets[rows[order.to(rows.device)]]
    return found


def mild_settings(name: str) -> dict[str, float]:
    """Return the settings under which a method's own two views are those of stage 1.

    Raises `BadRequest` for a method whose views no setting tells, such as `supervised` and `mae`.
    """
    known = settings_of(name)
    if not {"smallest", "strength"} <= set(known):
        raise BadRequest(
            f"{name} has no settings `smallest` and `strength`, so its views cannot be those of "
            "stage 1; take a method of two views"
        )
    return {key: value for key, value in MILD.items() if key in known}


def without_targets(inner: Learner, mild: Learner, *, switch: AtEpoch) -> Learner:
    """Return the control with stage 1's augmentation and no targets (protocol §10).

    Until the switch the objective is `mild`'s, then `inner`'s. Both are one method made for one
    task, `mild` with its `mild_settings`: its modules are made to hold the tensors of `inner`'s,
    so that there is one network under two losses. Raises `BadRequest` for learners that do not
    match; the adaptive switch reads the loss of stage 1 against targets, which is not there.
    """
    if not isinstance(switch, AtEpoch):
        raise BadRequest("without targets no loss tells when to switch; give an epoch")
    _tie(mild.net, inner.net)
    stages = Switch(switch, inner.schedule.epochs).to(next(inner.net.parameters()).device)

    def loss(batch: Batch) -> Tensor | tuple[Tensor, Tensor]:
        first = stages.first_stage(batch)
        now = mild if first else inner
        stages.count(batch, now.views, second=not first)
        return now.loss(batch)

    both = nn.ModuleList((inner.net, mild.net, stages))
    return replace(inner, net=both, loss=loss, seen=stages.seen)


def _tie(one: nn.Module, other: nn.Module) -> None:
    """Let the modules of one net hold the very parameters and buffers of another like it."""
    pairs = list(zip(one.named_modules(), other.named_modules(), strict=False))
    alike = len(list(one.modules())) == len(list(other.modules()))
    if not alike or any(
        name != like or _shapes(module) != _shapes(its) for (name, module), (like, its) in pairs
    ):
        raise BadRequest("the learners of the two stages are not one method for one task")
    for (_, module), (_, its) in pairs:
        module._parameters, module._buffers = its._parameters, its._buffers


def _shapes(module: nn.Module) -> dict[str, torch.Size | None]:
    own = {**module._parameters, **module._buffers}
    return {name: None if value is None else value.shape for name, value in own.items()}


@torch.no_grad()
def _width(encoder: nn.Module, task: Task) -> int:
    """Return the number of features that an encoder yields, whoever made it."""
    training = encoder.training
    found = encoder.eval()(torch.zeros(2, *task.data.shape, device=task.device))
    encoder.train(training)
    return int(found.shape[1])


def _check(data: Data, targets: Tensor) -> None:
    if targets.ndim != 2 or not targets.is_floating_point():
        raise BadRequest(
            f"targets are {targets.dtype} {tuple(targets.shape)}, not floats (rows, dimension)"
        )
    rows = _rows(data)
    if rows is None:
        return
    if int(rows.max()) >= len(targets):
        raise BadRequest(
            f"there are targets for {len(targets)} rows, and row {int(rows.max())} is to be "
            "trained on; make them for the whole base"
        )
    missing = int((~targets.any(1))[rows].sum())
    if missing:
        raise BadRequest(
            f"{missing} of the {len(rows)} images of the first epoch have no target (all 0); "
            "make targets for all rows to train on"
        )


def _rows(data: Data) -> Tensor | None:
    """Return the rows of the first epoch, where they are known before it begins."""
    if isinstance(data, Redrawn):
        return data.of(0).rows
    return data.rows if type(data) is Resident else None  # what was read from tars has names
