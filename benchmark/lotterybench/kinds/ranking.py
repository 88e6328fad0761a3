"""Runs of ranking tracks: train one configuration on full data or a subset, then evaluate it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Literal

from lotterybench.errors import BadShards, LotteryBenchError, NoSpace
from lotterybench.kinds.data import classes_of, selected, tensors
from lotterybench.kinds.evaluation import evaluate, flags_of
from lotterybench.kinds.runs import Attempt, Conduct, Done, Run, record
from lotterybench.kinds.streaming import Folder
from lotterybench.manifests import find_base
from lotterybench.methods import Task, Trained, method
from lotterybench.provenance import processor
from lotterybench.records import SPLITS
from lotterybench.trials import Curve, Setting, arm_name

if TYPE_CHECKING:
    from lotterybench.methods.base.data import Share
    from lotterybench.methods.base.loop import Engine

# Enters the company of the processes that share a training, and tells this one's part.
Together = Callable[[], AbstractContextManager["Share | None"]]


class Apart(LotteryBenchError):
    """A fault that not all of the processes that share a training met."""


def execute(runs: Sequence[Run], device: str, conduct: Conduct | None = None) -> Iterator[Done]:
    """Do runs one after the other; a fault of a method becomes its result's status."""
    for run in runs:
        start = time.perf_counter()
        attempt = attempted(run, device, conduct or Conduct(), nullcontext)
        result = record(run, attempt, device_name(device))
        yield Done(result, time.perf_counter() - start, attempt.curve, attempt.outranked)


def attempted(run: Run, device: str, conduct: Conduct, together: Together) -> Attempt:
    """Train and evaluate; whatever goes wrong is a status with one line of reason.

    Images that cannot be read and a full disk are no run's fault: they end the suite. What the
    operating system refuses during a run (`infra`) is tried again when the suite is repeated.
    `together` surrounds the training alone.
    """
    import torch

    from lotterybench.methods.base.loop import Diverged

    _readable(run, device, conduct)
    try:
        trained, precision = train_run(run, device, conduct, together)
        found = evaluate(run, trained, device, conduct)
        flops = _flops(run, trained)
        _keep(run, trained, conduct)
    except (Apart, BadShards, NoSpace):
        raise
    except Diverged as error:
        return Attempt("invalid", str(error))
    except (MemoryError, torch.OutOfMemoryError) as error:
        return Attempt("oom", _line(error) or "out of memory")
    except OSError as error:
        return Attempt("infra", f"{type(error).__name__}: {_line(error)}")
    except Exception as error:  # whatever a method does wrong is its result, not our crash
        return Attempt("crash", f"{type(error).__name__}: {_line(error)}")
    curve = tuple(
        Curve(key=run.key, epoch=line.epoch, loss=line.loss, lr=line.lr) for line in trained.curve
    )
    return Attempt(
        "ok", None, found.metrics, trained.images_seen, flags_of(found.metrics), curve, precision,
        "streamed" if conduct.shards else "resident", flops, found.outranked,
    )  # fmt: skip


def _readable(run: Run, device: str, conduct: Conduct) -> None:
    """Raise for images that cannot be read: `BadData`, `BadShards`."""
    if conduct.shards is None:
        for split in SPLITS:
            tensors(run.track.base, split, run.resolution, device)
        return
    base, _ = find_base(run.track.base)
    folder = Folder(conduct.shards, base)
    folder.of(run)
    if run.track.probe != "classifier":
        folder.whole()
    if run.track.probe == "finetuned":
        raise BadShards(f"{run.track.name} fine-tunes, which needs the base in memory, not shards")


def _line(error: BaseException) -> str:
    """Return the first line of an error's message, at most 300 characters of it."""
    return str(error).partition("\n")[0][:300]


def task_of(run: Run, device: str, conduct: Conduct | None = None) -> Task:
    """Return the training that a run asks for, its images on the device or streamed to it."""
    import torch

    from lotterybench.methods.base.data import Data, Resident

    base, _ = find_base(run.track.base)
    data: Data
    if conduct is not None and conduct.shards is not None:
        data = Folder(conduct.shards, base).training(run, torch.device(device))
    else:
        pixels, labels = tensors(base.id, "train", run.resolution, device)
        data = Resident(pixels, *selected(run, base, labels))
    return Task(data, classes=len(classes_of(run, base)), mirror=base.mirror, run=run.key)


def engine_of(run: Run, device: str, conduct: Conduct, share: Share | None = None) -> Engine:
    """Return how a run's training is carried out."""
    from lotterybench.methods.base.loop import ALONE, Engine

    return Engine(
        precision=conduct.precision or ("bf16" if device.startswith("cuda") else "fp32"),
        compiled=conduct.compiled,
        checkpoint=conduct.checkpoints and conduct.checkpoints / f"{run.key}.safetensors",
        every=conduct.every,
        share=share or ALONE,
    )


def train_run(
    run: Run, device: str, conduct: Conduct, together: Together = nullcontext
) -> tuple[Trained, Literal["fp32", "bf16"]]:
    """Train what a run asks for; return it and the precision it was computed in."""
    from lotterybench.methods.base.encoders import check_shapes
    from lotterybench.methods.base.loop import train
    from lotterybench.methods.base.own import load_own

    with together() as share:
        for where in conduct.own:
            load_own(where)
        entry, task = run.configuration, task_of(run, device, conduct)
        engine = engine_of(run, device, conduct, share)
        trained = train(task, method[entry.method](task, **run.config), engine)
        check_shapes(trained, task)
    return trained, engine.precision


def _keep(run: Run, trained: Trained, conduct: Conduct) -> None:
    """Write the encoder where asked for; a finished training needs no checkpoint."""
    from lotterybench.methods.base.encoders import save_encoder

    if conduct.encoders is not None:
        where = run.subset.name if run.subset else arm_name(run.arm, run.amount)
        name = f"{run.configuration.name}-{where}-seed{run.seed}.safetensors"
        config = run.config
        channels, height, _ = _shape(run)
        shape = {"in_chans": channels, "size": height}
        kept = {key: config[key] for key in ("backbone", "width") if key in config}
        about = {
            "run": run.key,
            "configuration": run.configuration.line(),
            "encoder": json.dumps(shape | kept),
        }
        save_encoder(trained.encoder, conduct.encoders / name, about)
    if conduct.checkpoints is not None:
        (conduct.checkpoints / f"{run.key}.safetensors").unlink(missing_ok=True)


def _shape(run: Run) -> tuple[int, int, int]:
    """Return the shape (C, H, W) of a run's images."""
    base, _ = find_base(run.track.base)
    height, width = (run.resolution, run.resolution) if run.resolution else base.size
    return 3 if base.mode == "RGB" else 1, height, width


def _flops(run: Run, trained: Trained) -> float:
    """Return what one image costs a run's encoder, counted once for each method and settings."""
    from lotterybench.methods.base.flops import forward_flops

    key = (run.configuration.method, frozenset(run.config.items()), shape := _shape(run))
    if key not in _counted:
        _counted[key] = forward_flops(trained.encoder, shape)
    return _counted[key]


_counted: dict[tuple[str, frozenset[tuple[str, Setting]], tuple[int, int, int]], float] = {}


def device_name(device: str) -> str:
    """Return a device with the name of its hardware."""
    if not device.startswith("cuda"):
        return f"{device}: {processor()}"
    import torch

    return f"{device.split(':')[0]}: {torch.cuda.get_device_name(device)}"
