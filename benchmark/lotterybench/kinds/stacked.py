"""Runs of small networks that are trained in stacks: each optimiser's step is that of 16 runs.

Every stack holds 16 models; where there are fewer runs, copies of the last fill it. So a run's
numbers depend neither on the runs beside it nor on its place. In other stacks they would: torch's
fused optimisers round the last numbers of a weight, those beyond a multiple of 16 float32, in
another way. Each backbone was trained alone and in stacks of 2, 3, 6, 9, 16, 24 and 48 (Intel
AVX-512, one thread): all ended with the same bits but the last model of the stacks whose size is
no multiple of 16 (24 models of 10 classes have 240 = 15 · 16 biases).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lotterybench.errors import BadRequest
from lotterybench.kinds.data import classes_of, restricted, selected, tensors
from lotterybench.kinds.exact.noise import order, stream
from lotterybench.kinds.exact.plan import FIELDS, SMALLEST
from lotterybench.kinds.exact.training import Prepared, examined, fit, padded, recipe_of
from lotterybench.kinds.ranking import device_name
from lotterybench.kinds.runs import CODE as CODE_OF_RUNS
from lotterybench.kinds.runs import Attempt, Done, Run, record
from lotterybench.manifests import find_base
from lotterybench.progress import bar
from lotterybench.records import SPLITS, Base, Split
from lotterybench.trials import Track

if TYPE_CHECKING:
    from torch import Tensor

    from lotterybench.methods.base.stacked import Recipe
    from lotterybench.methods.base.stacked.layers import Weights

METHOD = "stacked"
CODE = (*CODE_OF_RUNS, "kinds/exact/*.py")  # noise, order and the training of a stack
TESTED = 64  # images of a model at a time: as a training batch, they stay in the cache
STACK = 16  # float32 in the widest vector of a processor, so that no stack has a rest
Stack = tuple[Run, ...]
Rows = NDArray[np.int64]
Floats = NDArray[np.float32]


def is_stacked(track: Track) -> bool:
    """Say whether a track has runs that are trained in stacks."""
    return any(entry.method == METHOD for entry in track.configurations)


def check_stacked(track: Track, base: Base) -> None:
    """Raise `BadRequest` for a track whose runs cannot be stacked, or not on this base."""
    height, width = base.size
    if base.mode != "L" or height != width or height % SMALLEST:
        raise BadRequest(
            f"{track.name} is of small networks for square grey images whose side is a multiple of "
            f"{SMALLEST} pixels; {base.id} has {base.mode} images of {height}×{width}"
        )
    if track.probe != "classifier":
        raise BadRequest(f"{track.name} has a {track.probe} probe; small networks are classifiers")
    sides = [track.resolution] if track.resolution else []
    sides += [int(arm.amount) for arm in track.cheaper if arm.arm == "low-resolution"]
    for side in sides:
        if side % SMALLEST or height % side:
            raise BadRequest(f"{track.name}: {side} pixels; take {SMALLEST} or a multiple of it")
    for entry in track.configurations:
        kinds = {key: type(value) for key, value in entry.config.items()}
        if entry.method != METHOD:
            raise BadRequest(
                f"{entry.name} is of the method {entry.method!r}: a track has configurations of "
                f"the method {METHOD!r} only, or none"
            )
        if kinds != FIELDS:
            needed = ", ".join(f"{name} ({kind.__name__})" for name, kind in FIELDS.items())
            raise BadRequest(f"{entry.name}: a configuration of the method {METHOD!r} has {needed}")


def stacks_of(runs: Iterable[Run]) -> list[Stack]:
    """Group runs into stacks of at most 16 that are trained alike, in their order.

    Alike are runs of one configuration with as many steps and classes, whatever their arms.
    """
    groups: dict[tuple[Any, ...], list[Run]] = {}
    for run in runs:
        groups.setdefault(_alike(run), []).append(run)
    return [
        tuple(group[start : start + STACK])
        for group in groups.values()
        for start in range(0, len(group), STACK)
    ]


def _alike(run: Run) -> tuple[Any, ...]:
    base, _ = find_base(run.track.base)
    classes = len(classes_of(run, base))
    width = run.config.get("width")
    return run.configuration.name, steps_of(run, base), classes, run.resolution, width


def steps_of(run: Run, base: Base) -> int:
    """Return the optimiser's steps of a run.

    They are as many as `epochs` passes over its images take; those of a class subset count as of
    classes of mean size, so that all with as many classes take the same steps. A control takes its
    share of full data's, to the step and not to the epoch (protocol §5).
    """
    images = float(base.splits["train"].rows)
    if run.positions is not None:
        images = len(run.positions)
    elif run.subset is not None:
        images *= len(classes_of(run, base)) / len(base.class_names)
    share = run.amount if run.arm == "control" and run.amount else 1.0
    config = run.configuration.config
    return max(1, round(share * int(config["epochs"]) * images / int(config["batch"])))


class Given(NamedTuple):
    """What a stack is trained and tested on: `prepared.labels` are those of training images.

    `answers` int64 (16, test images) are the labels of test images.
    """

    recipe: Recipe
    classes: int
    images_seen: int
    prepared: Prepared
    answers: Rows


def prepare(stack: Stack) -> Given:
    """Draw what the models of a stack start from and see; look up what they are tested on."""
    first, base = stack[0], find_base(stack[0].track.base)[0]
    steps, batch = steps_of(first, base), int(first.config["batch"])
    (_, train), (_, test) = (tensors(base.id, split, first.resolution, "cpu") for split in SPLITS)
    seeds, labels, shown, answers, tested = [], [], [], [], []
    for run in stack:
        seeds.append(stream(run.key, run.seed, "init"))
        new, rows = selected(run, base, train)
        labels.append(new.numpy())
        shown.append(order(rows.numpy(), steps, batch, stream(run.key, run.seed, "order")))
        new, rows = restricted(run, base, test)
        answers.append(new.numpy())
        tested.append(rows.numpy())
    places = np.minimum(np.arange(STACK), len(stack) - 1)
    return Given(
        recipe_of(first.configuration, first.cheaper),
        len(classes_of(first, base)),
        steps * batch,
        Prepared(
            [seeds[place] for place in places],
            np.stack(labels)[places],
            np.stack(shown, 1)[:, places],
            padded(tested)[places],
        ),
        np.stack(answers)[places],
    )


def train_stack(stack: Stack) -> list[Done]:
    """Train and test a stack; return what came of each of its runs, in their order.

    A run's seconds are its share of the stack's.
    """
    start = time.perf_counter()
    given = prepare(stack)
    logits, rows = outputs(stack[0], given), given.prepared.tested
    attempts = [
        _attempt(run, given.images_seen, *model)
        for run, *model in zip(stack, logits, given.answers, rows, strict=False)  # no copies
    ]
    seconds = (time.perf_counter() - start) / len(stack)
    return [
        Done(record(run, attempt, device_name("cpu"), CODE), seconds, (), attempt.outranked)
        for run, attempt in zip(stack, attempts, strict=True)
    ]


def _attempt(run: Run, seen: int, logits: Floats, answers: Rows, rows: Rows) -> Attempt:
    """Return what came of a run: logits (T, classes) on the test images `rows` (T,)."""
    import torch

    from lotterybench.methods.base.flops import stacked_flops
    from lotterybench.methods.base.outranked import Outranked

    recipe, side = recipe_of(run.configuration, run.cheaper), _side(run)
    flops = float(stacked_flops(recipe.backbone, recipe.width, logits.shape[1], side))
    logits, labels = logits[rows >= 0], answers[rows[rows >= 0]]
    if not np.isfinite(logits).all():
        return Attempt("invalid", "the network's outputs are not finite", None, seen, flops=flops)
    accuracy = 100 * float((logits.argmax(1) == labels).mean())
    if run.arm != "full":
        return Attempt("ok", None, {"accuracy": accuracy}, seen, flops=flops)
    watch = Outranked()
    watch(torch.from_numpy(logits), torch.from_numpy(labels))
    return Attempt("ok", None, {"accuracy": accuracy}, seen, flops=flops, outranked=watch.packed())


def _side(run: Run) -> int:
    """Return the side of the run's images, in pixels."""
    return run.resolution or find_base(run.track.base)[0].size[0]


def outputs(run: Run, given: Given) -> Floats:
    """Train a stack like `run` and return its logits on its test images, (16, T, classes)."""
    train, test = (_pixels(run, split) for split in SPLITS)
    weights = fit(given.recipe, given.classes, given.prepared, train)
    found: Floats = examined(_logits, given.recipe, weights, given.prepared, test)
    return found


def _pixels(run: Run, split: Split) -> NDArray[np.uint8]:
    """Return a split's images (N, pixels) as the run's networks see them."""
    images, _ = tensors(run.track.base, split, run.resolution, "cpu")
    found: NDArray[np.uint8] = images.flatten(1).numpy()
    return found


def _logits(
    recipe: Recipe, weights: Weights, images: Tensor, labels: Tensor, rows: Tensor
) -> Floats:
    """Return what each model says of its test images, `rows` (M, T); what it is padded with too."""
    import torch

    from lotterybench.methods.base.stacked import backbone

    network, parts = backbone(recipe.backbone), []
    with torch.no_grad():
        for part in torch.split(rows.clamp(min=0), TESTED, dim=1):
            parts.append(network.logits(weights, images[part.flatten()].view(*part.shape, -1)))
    found: Floats = torch.cat(parts, 1).numpy()
    return found


def prices(runs: Sequence[Run]) -> list[tuple[int, float]]:
    """Return the training images and the seconds of one core of each run, in their order.

    A stack of each backbone is trained for a moment; nothing is written. A run's seconds are its
    share of its stack's.
    """
    import torch

    stacks = stacks_of(runs)
    firsts = {stack[0].config["backbone"]: stack for stack in stacks}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        timed = bar(firsts.items(), len(firsts), "timing a stack of each backbone")
        pace = {backbone: _seconds_of_a_step(stack) for backbone, stack in timed}
    finally:
        torch.set_num_threads(threads)
    found: dict[str, tuple[int, float]] = {}
    for stack in stacks:
        first = stack[0]
        steps = steps_of(first, find_base(first.track.base)[0])
        seconds = steps * pace[first.config["backbone"]] / len(stack)
        found |= {run.key: (steps * int(first.config["batch"]), seconds) for run in stack}
    return [found[run.key] for run in runs]


def _seconds_of_a_step(stack: Stack) -> float:
    """Return the seconds of one step of a stack, its part of testing included."""
    given = prepare(stack)
    once = given._replace(prepared=given.prepared._replace(shown=given.prepared.shown[:1]))
    outputs(stack[0], once)  # warms up
    start = time.perf_counter()
    outputs(stack[0], given)
    return (time.perf_counter() - start) / len(given.prepared.shown)
