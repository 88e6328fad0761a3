"""How well objects are found and pixels named: COCO's average precision, and mean IoU.

All are in per cent, computed in float64 on the CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lotterybench.errors import BadRequest
from lotterybench.methods.base.dense.detection import Detections
from lotterybench.methods.base.dense.scenes import IGNORED, NONE, Scenes

THRESHOLDS = np.linspace(0.5, 0.95, 10)  # of the IoU at which an object counts as found
RECALLS = np.linspace(0, 1, 101)  # at which precision is read off

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Whole = NDArray[np.int64]


class Ranked(NamedTuple):
    """Detections padded to as many an image, the surest first; `labels` is `NONE` where none is."""

    boxes: Floats
    labels: Whole
    scores: Floats


def ap50(found: Sequence[Detections], truth: Scenes) -> float:
    """Return average precision at IoU 0.5, the mean over the classes that are there, in per cent.

    `found` has an entry for each scene; no more than 100 detections of an image and class, as in
    COCO. Raises `BadRequest` where there is nothing to find.
    """
    return _mean(precisions(found, truth, THRESHOLDS[:1]))


def average_precision(found: Sequence[Detections], truth: Scenes) -> float:
    """Return average precision over IoU .5, .55, …, .95, the mean over classes, in per cent.

    Arguments and errors are those of `ap50`.
    """
    return _mean(precisions(found, truth, THRESHOLDS))


def _mean(values: Floats) -> float:
    if np.isnan(values).all():
        raise BadRequest("the scenes hold no object that must be found; there is no precision")
    return float(np.nanmean(values))


def precisions(found: Sequence[Detections], truth: Scenes, thresholds: Floats) -> Floats:
    """Return the average precision at each IoU of each class, in per cent: (thresholds, classes).

    Classes without an object are NaN. Difficult objects count neither when they are found nor when
    they are missed. Precision is made monotone and read off at 101 recalls, as COCO does it.
    """
    if len(found) != len(truth):
        raise BadRequest(f"detections of {len(found)} images and {len(truth)} scenes")
    labels, difficult = truth.labels.cpu().numpy(), truth.difficult.cpu().numpy()
    ranked = _ranked(found)
    iou = _ious(ranked.boxes, truth.boxes.cpu().numpy().astype(np.float64))
    iou[ranked.labels[:, :, None] != labels[:, None]] = NONE
    right, counts = _matched(iou, difficult, thresholds)
    order = np.argsort(-ranked.scores.ravel(), kind="stable")
    right, counts = (flags.reshape(len(thresholds), -1)[:, order] for flags in (right, counts))
    said = ranked.labels.ravel()[order]
    result = np.full((len(thresholds), int(labels.max(initial=NONE)) + 1), np.nan)
    for label in range(result.shape[1]):
        total = int(((labels == label) & ~difficult).sum())
        mine = said == label
        if total:
            result[:, label] = [
                _interpolated(hit[mine & count], total)
                for hit, count in zip(right, counts, strict=True)
            ]
    return 100 * result


def _ranked(found: Sequence[Detections]) -> Ranked:
    most = max((len(each.scores) for each in found), default=0)
    boxes = np.zeros((len(found), most, 4))
    labels = np.full((len(found), most), NONE - 1)  # nobody's, not even that of no object
    scores = np.full((len(found), most), -np.inf)
    for number, each in enumerate(found):
        sure = each.scores.cpu().numpy().astype(np.float64)
        order = np.argsort(-sure, kind="stable")
        boxes[number, : len(order)] = each.boxes.cpu().numpy()[order]
        labels[number, : len(order)] = each.labels.cpu().numpy()[order]
        scores[number, : len(order)] = sure[order]
    return Ranked(boxes, labels, scores)


def _ious(one: Floats, other: Floats) -> Floats:
    """Return the IoU of boxes (N, D, 4) and (N, M, 4) of the same image: (N, D, M)."""
    one, other = one[:, :, None], other[:, None]
    sides = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    shared = np.clip(sides, 0, None).prod(-1)
    areas = (one[..., 2:] - one[..., :2]).prod(-1) + (other[..., 2:] - other[..., :2]).prod(-1)
    found: Floats = np.divide(shared, areas - shared, out=np.zeros_like(shared), where=shared > 0)
    return found


def _matched(iou: Floats, difficult: Flags, thresholds: Floats) -> tuple[Flags, Flags]:
    """Return which detections are right and which count at all: both (thresholds, N, D).

    Each image's detections in turn take the object of highest IoU that is left, one that must be
    found before one that need not; among equals the last, as COCO does.
    """
    count, ranks, most = iou.shape
    right = np.zeros((len(thresholds), count, ranks), np.bool_)
    counts = np.ones_like(right)
    if most == 0:
        return right, counts
    free = np.ones((len(thresholds), count, most), np.bool_)
    least = np.minimum(thresholds, 1 - 1e-10)[:, None, None]
    for rank in range(ranks):
        open_ = free & (iou[:, rank] >= least)
        value = np.where(open_, iou[:, rank] + 2 * ~difficult, NONE)
        best = most - 1 - value[..., ::-1].argmax(-1)[..., None]
        taken = np.take_along_axis(open_, best, 2)
        spared = np.take_along_axis(np.broadcast_to(difficult, free.shape), best, 2)
        right[..., rank] = (taken & ~spared)[..., 0]
        counts[..., rank] = ~(taken & spared)[..., 0]
        np.put_along_axis(free, best, np.take_along_axis(free, best, 2) & ~taken, 2)
    return right, counts


def _interpolated(right: Flags, total: int) -> float:
    """Return the mean precision at `RECALLS`, of detections in order, of `total` objects."""
    hits = np.cumsum(right, dtype=np.float64)
    precision = hits / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    where = np.searchsorted(hits / total, RECALLS)
    return float(np.append(envelope, 0)[where].mean())


def mean_iou(found: Tensor, masks: Tensor) -> float:
    """Return the mean IoU of the classes in `masks`, background among them, in per cent.

    Both are uint8 (N, S, S). Pixels whose truth is `IGNORED` count nowhere, and so does a class
    that no pixel has but for what it takes from others. Raises `BadRequest` where no pixel's truth
    is known.
    """
    if found.shape != masks.shape:
        raise BadRequest(f"masks {tuple(found.shape)} found, {tuple(masks.shape)} wanted")
    told = (masks != IGNORED).cpu().numpy()
    wanted, said = masks.cpu().numpy()[told].astype(np.int64), found.cpu().numpy()[told]
    if len(wanted) == 0:
        raise BadRequest("no pixel's class is known; there is no mean IoU")
    pairs = np.bincount(256 * wanted + said, minlength=256 * 256).reshape(256, 256)
    true, both = pairs.sum(1), np.diag(pairs)
    present = true > 0
    union = true + pairs.sum(0) - both
    return float(100 * (both[present] / union[present]).mean())
