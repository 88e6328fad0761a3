"""Runs of ranking tracks: train one configuration on full data or a subset, then evaluate it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lotterybench.manifests import find_base
from lotterybench.methods import Task, Trained, method, stream
from lotterybench.provenance import code_digest, processor, versions
from lotterybench.records import SPLITS, Base, Split, Subset
from lotterybench.results import scope
from lotterybench.sources import images
from lotterybench.trials import Configuration, Cost, Result, Status, Track, run_key

if TYPE_CHECKING:
    import torch

CODE = ("methods/**/*.py", "kinds/ranking.py")


@dataclass(frozen=True)
class Run:
    """One planned run: a configuration and a seed on full data (subset None) or on a subset."""

    track: Track
    subset: Subset | None
    positions: NDArray[np.int64] | None
    base_digest: str
    configuration: Configuration
    seed: int

    @property
    def arm(self) -> Literal["full", "subset"]:
        """Which arm of the comparison the run belongs to."""
        return "full" if self.subset is None else "subset"

    @property
    def scope(self) -> Literal["full", "subset"]:
        """Which test images count: all, or those of the subset's classes."""
        return scope(self.track, self.subset)

    @property
    def data_digest(self) -> str:
        """What the seeds of the run's random numbers depend on, of the data."""
        return self.base_digest if self.subset is None else self.subset.data_digest()

    @property
    def key(self) -> str:
        """The key under which the run is planned and its result is found again."""
        entry = self.configuration
        return run_key(
            self.track.name, self.track.version, self.arm, self.data_digest, entry.name,
            entry.method, entry.config, self.seed,
        )  # fmt: skip


class Done(NamedTuple):
    """A result with the seconds it took here."""

    result: Result
    seconds: float


def execute(runs: Sequence[Run], device: str) -> Iterator[Done]:
    """Do runs one after the other; a fault of a method becomes its result's status."""
    for run in runs:
        start = time.perf_counter()
        result = _result(run, device)
        yield Done(result, time.perf_counter() - start)


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
    pixels = found.pixels if resolution is None else reduced(found.pixels, resolution)
    channels_first = pixels.transpose(0, 3, 1, 2).copy()  # the cached array is read-only
    return torch.from_numpy(channels_first).to(device), torch.from_numpy(found.labels).to(device)


def _result(run: Run, device: str) -> Result:
    status, reason, metrics, seen = _attempt(run, device)
    entry = run.configuration
    return Result(
        schema_version=1,
        track=run.track.name,
        track_version=run.track.version,
        track_digest=run.track.digest(),
        arm=run.arm,
        scope=run.scope,
        base_digest=run.base_digest,
        subset=run.subset.id if run.subset else None,
        subset_version=run.subset.version if run.subset else None,
        subset_digest=run.subset.digest if run.subset else None,
        data_digest=run.data_digest,
        configuration=entry.name,
        family=entry.family,
        method=entry.method,
        config=entry.config,
        epochs=int(entry.config.get("epochs", 0)),
        seed=run.seed,
        status=status,
        reason=reason,
        metrics=metrics,
        cost=Cost(images_seen=seen, device=_device_name(device)),
        software=versions("numpy", "torch", "timm", "lightly"),
        code_digest=code_digest(*CODE),
        origin="reference",
        isolation="rerun-unsandboxed",
    )


def _attempt(run: Run, device: str) -> tuple[Status, str | None, dict[str, float], int]:
    """Train and evaluate; return status, reason, metrics and images seen.

    Images that cannot be read are no run's fault: they end the suite. What the operating system
    refuses during a run (`infra`) is tried again when the suite is repeated.
    """
    import torch

    from lotterybench.methods.base.loop import Diverged

    for split in SPLITS:
        _tensors(run.track.base, split, run.track.resolution, device)
    try:
        trained = _train(run, device)
        metrics = _evaluate(run, trained, device)
    except Diverged as error:
        return "invalid", str(error), {}, 0
    except (MemoryError, torch.OutOfMemoryError) as error:
        return "oom", str(error).splitlines()[0] if str(error) else "out of memory", {}, 0
    except OSError as error:
        return "infra", f"{type(error).__name__}: {error}".splitlines()[0][:300], {}, 0
    except Exception as error:  # whatever a method does wrong is its result, not our crash
        return "crash", f"{type(error).__name__}: {error}".splitlines()[0][:300], {}, 0
    return "ok", None, metrics, trained.images_seen


def _train(run: Run, device: str) -> Trained:
    base, _ = find_base(run.track.base)
    pixels, labels = _tensors(base.id, "train", run.track.resolution, device)
    labels, rows = _selected(run, base, labels)
    entry = run.configuration
    task = Task(
        images=pixels,
        labels=labels,
        rows=rows,
        classes=len(_classes(run, base)),
        mirror=base.mirror,
        run=run.key,
    )
    return method[entry.method](task, **entry.config)


def _evaluate(run: Run, trained: Trained, device: str) -> dict[str, float]:
    """Return the track's metrics: per cent, unrounded, and the rank of frozen features.

    A classifier is tested on the subset's classes (on all for sample subsets). A frozen encoder
    is probed on the full training and test splits, whatever it was trained on.
    """
    import torch

    from lotterybench.methods.base import probes

    base, _ = find_base(run.track.base)
    resolution = run.track.resolution
    test, test_labels = _tensors(base.id, "test", resolution, device)
    if run.track.probe == "classifier":
        test_labels, rows = _restricted(run, base, test_labels)
        return {"accuracy": probes.accuracy(trained, test[rows], test_labels[rows])}
    train, train_labels = _tensors(base.id, "train", resolution, device)
    bank = probes.features(trained.encoder, train)
    queries = probes.features(trained.encoder, test)
    head = torch.Generator(test.device).manual_seed(stream(run.key, "head"))
    classes = len(base.class_names)
    return {
        "knn": probes.knn(bank, train_labels, queries, test_labels, classes=classes),
        "linear": probes.linear_probe(
            bank, train_labels, queries, test_labels, classes=classes, generator=head
        ),
        "effective_rank": probes.effective_rank(queries),
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


def _device_name(device: str) -> str:
    if not device.startswith("cuda"):
        return f"{device}: {processor()}"
    import torch

    return f"{device.split(':')[0]}: {torch.cuda.get_device_name(device)}"
