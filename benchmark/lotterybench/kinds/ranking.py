"""Runs of ranking tracks: train one configuration on full data or a subset, then evaluate it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lotterybench.errors import BadShards, LotteryBenchError
from lotterybench.kinds.runs import Attempt, Conduct, Done, Run, record
from lotterybench.kinds.streaming import Folder
from lotterybench.manifests import find_base
from lotterybench.methods import Task, Trained, method, stream
from lotterybench.provenance import processor
from lotterybench.records import SPLITS, Base, Split
from lotterybench.sources import images
from lotterybench.trials import Curve

if TYPE_CHECKING:
    import torch

    from lotterybench.methods.base.data import Share
    from lotterybench.methods.base.loop import Engine

# Enters the company of the processes that share a training, and tells this one's part.
Together = Callable[[], AbstractContextManager["Share | None"]]

LEAST_RANK = 5.0  # effective dimensions of features, below which an encoder has collapsed
LEAST_SPREAD = 0.01  # of normalised features, where 1 is a direction of its own for each image


class Apart(LotteryBenchError):
    """A fault that not all of the processes that share a training met."""


def execute(runs: Sequence[Run], device: str, conduct: Conduct | None = None) -> Iterator[Done]:
    """Do runs one after the other; a fault of a method becomes its result's status."""
    for run in runs:
        start = time.perf_counter()
        attempt = attempted(run, device, conduct or Conduct(), nullcontext)
        result = record(run, attempt, device_name(device))
        yield Done(result, time.perf_counter() - start, attempt.curve)


def reduced(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Shrink images (N, H, W, C) to `side` by the mean of each square of pixels, halves up."""
    size, factor = pixels.shape[1], pixels.shape[1] // side
    if factor * side != size or pixels.shape[2] != size:
        raise ValueError(f"{size}×{pixels.shape[2]} images cannot be reduced to {side}×{side}")
    small = np.empty((len(pixels), side, side, pixels.shape[3]), np.uint8)
    for start in range(0, len(pixels), 4096):  # 4,096 images of 32×32×3 are 50 MB as uint32
        part = pixels[start : start + 4096].astype(np.uint32)
        sums = part.reshape(len(part), side, factor, side, factor, -1).sum(axis=(2, 4))
        small[start : start + 4096] = (sums + factor**2 // 2) // factor**2
    return small


@lru_cache(maxsize=4)
def _tensors(
    base: str, split: Split, resolution: int | None, device: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a split on the device: images uint8 (N, C, H, W), labels int64 (N,)."""
    import torch

    found = images(base, split)
    count, *size, channels = found.pixels.shape
    sides = size if resolution is None else (resolution, resolution)
    whole = torch.empty(count, channels, *sides, dtype=torch.uint8, device=device)
    for start in range(0, count, 4096):  # so that no second copy of all images is ever there
        pixels = found.pixels[start : start + 4096]
        small = pixels if resolution is None else reduced(pixels, resolution)
        whole[start : start + 4096] = torch.from_numpy(small.transpose(0, 3, 1, 2).copy())
    return whole, torch.from_numpy(found.labels).to(device)


def attempted(run: Run, device: str, conduct: Conduct, together: Together) -> Attempt:
    """Train and evaluate; whatever goes wrong is a status with one line of reason.

    Images that cannot be read are no run's fault: they end the suite. What the operating system
    refuses during a run (`infra`) is tried again when the suite is repeated. `together` surrounds
    the training alone.
    """
    import torch

    from lotterybench.methods.base.loop import Diverged

    _readable(run, device, conduct)
    try:
        trained, precision = train_run(run, device, conduct, together)
        metrics = _evaluate(run, trained, device, conduct)
        _keep(run, trained, conduct)
    except (Apart, BadShards):
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
        "ok", None, metrics, trained.images_seen, _flags(metrics), curve, precision,
        "streamed" if conduct.shards else "resident",
    )  # fmt: skip


def _readable(run: Run, device: str, conduct: Conduct) -> None:
    """Raise for images that cannot be read: `BadData`, `BadShards`."""
    if conduct.shards is None:
        for split in SPLITS:
            _tensors(run.track.base, split, run.track.resolution, device)
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


def _flags(metrics: dict[str, float]) -> tuple[str, ...]:
    """Say by what signs an encoder has collapsed, if it has."""
    flags = []
    if metrics.get("effective_rank", LEAST_RANK) < LEAST_RANK:
        flags.append("low-rank")
    if metrics.get("feature_spread", LEAST_SPREAD) < LEAST_SPREAD:
        flags.append("no-spread")
    return tuple(flags)


def task_of(run: Run, device: str, conduct: Conduct | None = None) -> Task:
    """Return the training that a run asks for, its images on the device or streamed to it."""
    import torch

    from lotterybench.methods.base.data import Data, Resident

    base, _ = find_base(run.track.base)
    data: Data
    if conduct is not None and conduct.shards is not None:
        data = Folder(conduct.shards, base).training(run, torch.device(device))
    else:
        pixels, labels = _tensors(base.id, "train", run.track.resolution, device)
        data = Resident(pixels, *_selected(run, base, labels))
    return Task(data, classes=len(_classes(run, base)), mirror=base.mirror, run=run.key)


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
) -> tuple[Trained, str]:
    """Train what a run asks for; return it and the precision it was computed in."""
    from lotterybench.methods.base.encoders import check_shapes
    from lotterybench.methods.base.loop import train
    from lotterybench.methods.base.own import load_own

    with together() as share:
        for where in conduct.own:
            load_own(where)
        entry, task = run.configuration, task_of(run, device, conduct)
        engine = engine_of(run, device, conduct, share)
        trained = train(task, method[entry.method](task, **entry.config), engine)
        check_shapes(trained, task)
    return trained, engine.precision


def _keep(run: Run, trained: Trained, conduct: Conduct) -> None:
    """Write the encoder where asked for; a finished training needs no checkpoint."""
    from lotterybench.methods.base.encoders import save_encoder

    if conduct.encoders is not None:
        where = run.subset.name if run.subset else "full"
        name = f"{run.configuration.name}-{where}-seed{run.seed}.safetensors"
        base, config = find_base(run.track.base)[0], run.configuration.config
        shape = {
            "in_chans": 3 if base.mode == "RGB" else 1,
            "size": run.track.resolution or base.size[0],
        }
        kept = {key: config[key] for key in ("backbone", "width") if key in config}
        about = {
            "run": run.key,
            "configuration": run.configuration.line(),
            "encoder": json.dumps(shape | kept),
        }
        save_encoder(trained.encoder, conduct.encoders / name, about)
    if conduct.checkpoints is not None:
        (conduct.checkpoints / f"{run.key}.safetensors").unlink(missing_ok=True)


def _evaluate(run: Run, trained: Trained, device: str, conduct: Conduct) -> dict[str, float]:
    """Return the track's metrics: per cent, unrounded, and how the frozen features spread.

    A classifier is tested on the subset's classes (on all for sample subsets). A frozen encoder
    is probed, and a fine-tuned one tuned, on the full training and test splits, whatever it was
    trained on.
    """
    import torch

    from lotterybench.methods.base import probes

    base, _ = find_base(run.track.base)
    resolution = run.track.resolution
    if conduct.shards is not None:
        folder = Folder(conduct.shards, base)
        if run.track.probe == "classifier":
            shown = folder.stream(folder.of(run), "test", resolution, torch.device(device)).once()
            batches = ((images, labels) for images, labels, _ in shown)
            return {"accuracy": probes.accuracy_of(trained, batches)}
        bank, queries = (
            folder.features(trained.encoder, split, resolution, torch.device(device))
            for split in SPLITS
        )
        return _probed(run, base, *bank, *queries)
    test, test_labels = _tensors(base.id, "test", resolution, device)
    if run.track.probe == "classifier":
        test_labels, rows = _restricted(run, base, test_labels)
        return {"accuracy": probes.accuracy(trained, test[rows], test_labels[rows])}
    train, train_labels = _tensors(base.id, "train", resolution, device)
    bank = probes.features(trained.encoder, train), train_labels
    queries = probes.features(trained.encoder, test), test_labels
    found = _probed(run, base, *bank, *queries)
    if run.track.probe == "finetuned":
        from lotterybench.methods.base.finetune import finetuned

        found["finetuned"] = finetuned(
            trained.encoder, train, train_labels, test, test_labels,
            classes=len(base.class_names), mirror=base.mirror, run=f"{run.key}|finetune",
        )  # fmt: skip
    return found


def _probed(
    run: Run, base: Base, bank: torch.Tensor, bank_labels: torch.Tensor, queries: torch.Tensor,
    labels: torch.Tensor,
) -> dict[str, float]:  # fmt: skip
    """Return what the frozen features of the training and test splits are worth."""
    import torch

    from lotterybench.methods.base import probes

    head = torch.Generator(labels.device).manual_seed(stream(run.key, "head"))
    classes = len(base.class_names)
    return {
        "knn": probes.knn(bank, bank_labels, queries, labels, classes=classes),
        "linear": probes.linear_probe(
            bank, bank_labels, queries, labels, classes=classes, generator=head
        ),
        "effective_rank": probes.effective_rank(queries),
        "feature_spread": probes.feature_spread(queries),
    }


def _classes(run: Run, base: Base) -> list[int]:
    """Return the base's labels of the classes in play, in the order of their new labels."""
    if run.subset is None or run.subset.classes is None:
        return list(range(len(base.class_names)))
    return base.class_indices(run.subset.classes)


def _restricted(run: Run, base: Base, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Renumber labels to the classes in play; return them and the rows of those classes."""
    import torch

    classes = _classes(run, base)
    new = torch.full((len(base.class_names),), -1, device=labels.device)
    new[torch.tensor(classes, device=labels.device)] = torch.arange(
        len(classes), device=labels.device
    )
    renumbered = new[labels]
    return renumbered, torch.nonzero(renumbered >= 0).flatten()


def _selected(run: Run, base: Base, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return training labels and the rows to train on, in ascending order."""
    import torch

    renumbered, rows = _restricted(run, base, labels)
    if run.positions is not None:
        rows = torch.from_numpy(np.sort(run.positions)).to(labels.device)
    return renumbered, rows


def device_name(device: str) -> str:
    """Return a device with the name of its hardware."""
    if not device.startswith("cuda"):
        return f"{device}: {processor()}"
    import torch

    return f"{device.split(':')[0]}: {torch.cuda.get_device_name(device)}"
