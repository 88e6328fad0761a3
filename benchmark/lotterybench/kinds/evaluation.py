"""What a run's trained method is worth, by the probe of its track."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lotterybench.items import none_of
from lotterybench.kinds.data import classes_of, restricted, tensors
from lotterybench.kinds.runs import Conduct, Run
from lotterybench.kinds.streaming import Folder
from lotterybench.manifests import find_base, load_keyring
from lotterybench.methods import Trained, stream
from lotterybench.records import SPLITS, Base
from lotterybench.trials import WITHIN

if TYPE_CHECKING:
    import torch

    from lotterybench.methods.base.outranked import Outranked

LEAST_RANK = 5.0  # effective dimensions of features, below which an encoder has collapsed
LEAST_SPREAD = 0.01  # of normalised features, where 1 is a direction of its own for each image


class Evaluated(NamedTuple):
    """A run's metrics and, of a run on full data, its test items as `items` packs them."""

    metrics: dict[str, float]
    outranked: NDArray[np.uint8] | None = None


def evaluate(run: Run, trained: Trained, device: str, conduct: Conduct) -> Evaluated:
    """Return the track's metrics: per cent, unrounded, and how the frozen features spread.

    A classifier is tested on the subset's classes (on all for sample subsets). A frozen encoder
    is probed, and a fine-tuned one tuned, on the full training and test splits, whatever it was
    trained on.

    Of full data, and of no cheaper arm, the classes that outrank the true ones by the track's
    metric come too; streamed runs have none. An encoder trained on a class subset has the metric
    `within` in their place: the track's, on the subset's test classes with scores restricted to
    them (protocol §12). Items of every class subset would be as large as those of full data.
    """
    from lotterybench.methods.base.outranked import Outranked

    base, _ = find_base(run.track.base)
    if conduct.shards is not None:
        return Evaluated(_streamed(run, base, trained, device, conduct.shards))
    full, classified = run.arm == "full", run.track.probe == "classifier"
    of_classes = run.subset is not None and run.subset.classes is not None
    watch = Outranked() if full or (of_classes and not classified) else None
    found = (_classified if classified else _resident)(run, base, trained, device, watch)
    if watch is None:
        return Evaluated(found)
    if full:
        return Evaluated(found, watch.packed())
    return Evaluated({**found, WITHIN: _within(run, base, watch.packed())})


def evaluate_features(run: Run, bank: torch.Tensor, queries: torch.Tensor) -> dict[str, float]:
    """Return what `evaluate` does of a frozen encoder, from features that are there already.

    `bank` and `queries` are float32 (n, d) of the training and test splits, in the order of the
    keyring and on the device that they are probed on.
    """
    import torch

    from lotterybench.methods.base.outranked import Outranked

    base, _ = find_base(run.track.base)
    keyring = load_keyring(base.id)
    train, test = (
        torch.from_numpy(keyring.labels[split].astype(np.int64)).to(bank.device) for split in SPLITS
    )
    watch = Outranked() if run.subset is not None and run.subset.classes is not None else None
    found = _probed(run, base, bank, train, queries, test, watch)
    return found if watch is None else {**found, WITHIN: _within(run, base, watch.packed())}


def _classified(
    run: Run, base: Base, trained: Trained, device: str, watch: Outranked | None
) -> dict[str, float]:
    """Return the accuracy of a classifier on the classes in play."""
    from lotterybench.methods.base import probes

    test, test_labels = tensors(base.id, "test", run.resolution, device)
    test_labels, rows = restricted(run, base, test_labels)
    return {"accuracy": probes.accuracy(trained, test[rows], test_labels[rows], watch)}


def _resident(
    run: Run, base: Base, trained: Trained, device: str, watch: Outranked | None
) -> dict[str, float]:
    """Return what an encoder is worth, frozen and perhaps fine-tuned; watch the track's metric."""
    from lotterybench.methods.base import probes

    test, test_labels = tensors(base.id, "test", run.resolution, device)
    train, train_labels = tensors(base.id, "train", run.resolution, device)
    bank = probes.features(trained.encoder, train), train_labels
    queries = probes.features(trained.encoder, test), test_labels
    found = _probed(run, base, *bank, *queries, watch)
    if run.track.probe == "finetuned":
        from lotterybench.methods.base.finetune import finetuned

        found["finetuned"] = finetuned(
            trained.encoder, train, train_labels, test, test_labels,
            classes=len(base.class_names), mirror=base.mirror, run=f"{run.key}|finetune",
            watch=watch if run.track.metric == "finetuned" else None,
        )  # fmt: skip
    return found


def _streamed(
    run: Run, base: Base, trained: Trained, device: str, shards: Path
) -> dict[str, float]:
    """Return the metrics of test images that come from shards."""
    import torch

    from lotterybench.methods.base import probes

    folder, resolution = Folder(shards, base), run.resolution
    if run.track.probe == "classifier":
        shown = folder.stream(folder.of(run), "test", resolution, torch.device(device)).once()
        batches = ((images, labels) for images, labels, _ in shown)
        return {"accuracy": probes.accuracy_of(trained, batches)}
    bank, queries = (
        folder.features(trained.encoder, split, resolution, torch.device(device))
        for split in SPLITS
    )
    return _probed(run, base, *bank, *queries, None)


def _probed(
    run: Run, base: Base, bank: torch.Tensor, bank_labels: torch.Tensor, queries: torch.Tensor,
    labels: torch.Tensor, watch: Outranked | None,
) -> dict[str, float]:  # fmt: skip
    """Return what the frozen features of the training and test splits are worth."""
    import torch

    from lotterybench.methods.base import probes

    head = torch.Generator(labels.device).manual_seed(stream(run.key, "head"))
    classes, metric = len(base.class_names), run.track.metric
    return {
        "knn": probes.knn(
            bank, bank_labels, queries, labels, classes=classes,
            watch=watch if metric == "knn" else None,
        ),
        "linear": probes.linear_probe(
            bank, bank_labels, queries, labels, classes=classes, generator=head,
            watch=watch if metric == "linear" else None,
        ),
        "effective_rank": probes.effective_rank(queries),
        "feature_spread": probes.feature_spread(queries),
    }  # fmt: skip


def _within(run: Run, base: Base, outranked: NDArray[np.uint8]) -> float:
    """Return the percentage of the subset's test images that are right among its classes."""
    among = classes_of(run, base)
    labels = load_keyring(base.id).labels["test"]
    right = none_of(outranked[np.isin(labels, among)], among, len(base.class_names))
    return 100 * float(right.mean())


def flags_of(metrics: dict[str, float]) -> tuple[str, ...]:
    """Say by what signs an encoder has collapsed, if it has."""
    flags = []
    if metrics.get("effective_rank", LEAST_RANK) < LEAST_RANK:
        flags.append("low-rank")
    if metrics.get("feature_spread", LEAST_SPREAD) < LEAST_SPREAD:
        flags.append("no-spread")
    return tuple(flags)
