"""Scenes composed from a base's images: objects pasted on a smooth background.

All arithmetic is in whole numbers, so that an equal generator gives equal bytes on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from lotterybench.errors import BadRequest
from lotterybench.methods.base.dense.scenes import NONE, Scenes

SMALLEST = 16  # pixels of a scene's side: objects are a quarter of it at the least
MOST_CLASSES = 254  # that a mask of bytes can hold beside the background and the ignored
FOREGROUND = 3 / 8  # of an image's brightest pixel: a digit's stroke with most of its soft edge
DARK = 80  # the brightest background of grey scenes: strokes of full brightness start at 96
TINT = 48  # by which a coloured background's channels differ from its grey, about as photographs'
COARSE = 4  # values a side from which a background is interpolated
MOST_IOU = 0.2  # of the boxes of two objects
LEAST_VISIBLE = 0.5  # of an object's own pixels
TRIES = 20  # places that are tried for an object before it is left out

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Whole = NDArray[np.int64]
Box = tuple[int, int, int, int]  # left, top, right, bottom

SHAPES: dict[str, Callable[[NDArray[np.float64], NDArray[np.float64]], Mask]] = {
    "disc": lambda x, y: x**2 + y**2 <= 1,
    "rounded square": lambda x, y: x**4 + y**4 <= 1,
    "diamond": lambda x, y: abs(x) + abs(y) <= 1,
    "triangle": lambda x, y: 2 * abs(x) <= 1 + y,
}


class Cut(NamedTuple):
    """What is pasted: pixels uint8 (C, h, w), those of `mask` (h, w), which touches every side."""

    pixels: Pixels
    mask: Mask


class Canvas(NamedTuple):
    """One scene: pixels (C, S, S), `owner` (S, S), and its objects' visible boxes and rows.

    `owner` is the number of the object that a pixel shows, from 1, and 0 for the background.
    """

    pixels: Pixels
    owner: Pixels
    boxes: list[Box]
    rows: list[int]


def compose(
    images: Tensor,
    labels: Tensor,
    rows: Tensor,
    *,
    count: int,
    generator: Generator,
    side: int = 32,
    most: int = 3,
    scales: tuple[float, float] = (0.5, 1.0),
) -> Scenes:
    """Compose `count` scenes of 1 to `most` objects from `rows` of a base, on the CPU.

    `images` is uint8 (n, C, h, h), `labels` int64 (n,), `rows` int64; rows come in random order,
    each once before any comes again. An object's image has a side of `scales` times half the
    scene's (its own size, at scale 1, where scenes are twice as wide): shrunk by area, grown by
    nearest pixel. Of a grey image the bright pixels are pasted, of a coloured one those of a random
    shape. Later objects lie on top; boxes and masks are of what is visible, at least half of each
    object. Raises `BadRequest` for what cannot be composed.
    """
    _check(images, labels, rows, count, side, most, scales)
    used, taken = np.unique(rows.cpu().numpy(), return_inverse=True)
    place = torch.from_numpy(used).to(images.device)
    pixels, classes = images[place].cpu().numpy(), labels[place.to(labels.device)].cpu().numpy()
    turn = _in_turn(taken, generator)
    sides = (round(scales[0] * side / 2), round(scales[1] * side / 2))

    def draw() -> Iterator[tuple[int, Cut]]:
        while True:
            row, wide = next(turn), int(generator.integers(sides[0], sides[1] + 1))
            cut = _cut(pixels[row], wide, generator)
            if cut is None:
                raise BadRequest(f"row {used[row]} has no bright pixel to paste")
            yield row, cut

    made = [_canvas(pixels.shape[1], side, most, draw(), generator) for _ in range(count)]
    return _scenes(made, most, classes, used)


def _check(
    images: Tensor,
    labels: Tensor,
    rows: Tensor,
    count: int,
    side: int,
    most: int,
    scales: tuple[float, float],
) -> None:
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[2] != images.shape[3]:
        raise BadRequest(f"images are {images.dtype} {tuple(images.shape)}, not uint8 (n, C, h, h)")
    if images.shape[1] not in (1, 3):
        raise BadRequest(f"images have {images.shape[1]} channels; take 1 (grey) or 3 (RGB)")
    if len(labels) != len(images):
        raise BadRequest(f"{len(labels)} labels of {len(images)} images")
    if len(rows) == 0 or int(rows.min()) < 0 or int(rows.max()) >= len(images):
        raise BadRequest(f"rows are to be at least one of 0 to {len(images) - 1}")
    seen = labels[rows.to(labels.device)]
    if int(seen.min()) < 0 or int(seen.max()) >= MOST_CLASSES:
        raise BadRequest(f"a mask holds the classes 0 to {MOST_CLASSES - 1}, no other")
    if count < 1 or not 1 <= most <= 9:
        raise BadRequest(f"{count} scenes of up to {most} objects; take 1 scene or more of 1 to 9")
    if side < SMALLEST:
        raise BadRequest(f"scenes are {side} pixels wide; take {SMALLEST} or more")
    if not 0.25 <= scales[0] <= scales[1] <= 2:
        raise BadRequest(f"scales are {scales}; take two from 1/4 to 2, the smaller one first")


def _in_turn(rows: Whole, generator: Generator) -> Iterator[int]:
    while True:
        yield from map(int, generator.permutation(rows))


def _canvas(
    channels: int, side: int, most: int, draw: Iterator[tuple[int, Cut]], generator: Generator
) -> Canvas:
    """Paste a random number of cuts; an object for which no place is found is left out."""
    pixels = _background(channels, side, generator)
    owner = np.zeros((side, side), np.uint8)
    rows: list[int] = []
    boxes: list[Box] = []
    whole: list[int] = []  # pixels of each object, visible or not
    for row, cut in islice(draw, int(generator.integers(1, most + 1))):
        box = _place(cut.mask, owner, boxes, whole, generator)
        if box is None:
            continue
        left, top, right, bottom = box
        rows.append(row)
        boxes.append(box)
        whole.append(int(cut.mask.sum()))
        pixels[:, top:bottom, left:right][:, cut.mask] = cut.pixels[:, cut.mask]
        owner[top:bottom, left:right][cut.mask] = len(boxes)
    visible = [_box_of(owner == number) for number in range(1, len(boxes) + 1)]
    return Canvas(pixels, owner, visible, rows)


def _place(
    mask: Mask, owner: Pixels, boxes: list[Box], whole: list[int], generator: Generator
) -> Box | None:
    """Return a box at which the mask neither leaves the scene nor hides much of what is there."""
    height, width = mask.shape
    for _ in range(TRIES):
        left = int(generator.integers(owner.shape[1] - width + 1))
        top = int(generator.integers(owner.shape[0] - height + 1))
        box = (left, top, left + width, top + height)
        if any(_iou(box, other) > MOST_IOU for other in boxes):
            continue
        after = owner.copy()
        after[top : top + height, left : left + width][mask] = 0
        left_over = np.bincount(after.ravel(), minlength=len(boxes) + 1)[1:]
        if all(seen >= LEAST_VISIBLE * of for seen, of in zip(left_over, whole, strict=True)):
            return box
    return None


def _iou(one: Box, other: Box) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(0, width) * max(0, height)
    return shared / (_area(one) + _area(other) - shared)


def _area(box: Box) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


def _box_of(mask: Mask) -> Box:
    down, along = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(along[0]), int(down[0]), int(along[-1]) + 1, int(down[-1]) + 1


def _cut(image: Pixels, side: int, generator: Generator) -> Cut | None:
    """Resize an image (C, h, h) and cut out what is pasted; None where that is nothing."""
    pixels = _resized(image, side)
    if len(pixels) == 1:
        mask = (pixels[0] > 0) & (pixels[0] >= FOREGROUND * pixels[0].max())
    else:
        mask = _shape(side, generator)
    if not mask.any():
        return None
    left, top, right, bottom = _box_of(mask)
    return Cut(pixels[:, top:bottom, left:right], mask[top:bottom, left:right])


def _shape(side: int, generator: Generator) -> Mask:
    """Return a random shape in a square, turned by a random number of right angles."""
    middles = (2 * np.arange(side) + 1) / side - 1
    inside = list(SHAPES.values())[generator.integers(len(SHAPES))]
    return np.rot90(inside(middles, middles[:, None]), int(generator.integers(4)))


def _resized(image: Pixels, side: int) -> Pixels:
    """Shrink images (C, h, h) by area, halves up, or grow them by nearest pixel."""
    size = image.shape[1]
    if side >= size:
        nearest = (2 * np.arange(side) + 1) * size // (2 * side)
        return image[:, nearest[:, None], nearest]
    shares = _shares(size, side)
    sums = shares @ image.astype(np.int64) @ shares.T
    found: Pixels = ((2 * sums + size**2) // (2 * size**2)).astype(np.uint8)
    return found


@lru_cache(maxsize=256)
def _shares(size: int, side: int) -> Whole:
    """Return how much of each new pixel is each old one, in parts of `size`: (side, size)."""
    new, old = size * np.arange(side)[:, None], side * np.arange(size)
    shares: Whole = np.minimum(new + size, old + side) - np.maximum(new, old)
    return shares.clip(0)


def _background(channels: int, side: int, generator: Generator) -> Pixels:
    """Return `COARSE` × `COARSE` random values, tinted and interpolated linearly: (C, S, S)."""
    brightest, tint = (DARK, 0) if channels == 1 else (255, TINT)
    coarse = generator.integers(0, brightest + 1, (1, COARSE, COARSE))
    coarse = coarse + generator.integers(-tint, tint + 1, (channels, COARSE, COARSE))
    coarse = coarse.clip(0, brightest)
    weights = _weights(side)
    found: Pixels = (weights @ coarse @ weights.T // (2 * side) ** 2).astype(np.uint8)
    return found


@lru_cache(maxsize=8)
def _weights(side: int) -> Whole:
    """Return linear weights, in parts of 2 · `side`, of the coarse values: (side, COARSE)."""
    where, past = np.divmod((2 * np.arange(side) + 1) * (COARSE - 1), 2 * side)
    weights = np.zeros((side, COARSE), np.int64)
    weights[np.arange(side), where] = 2 * side - past
    weights[np.arange(side), where + 1] = past
    return weights


def _scenes(made: list[Canvas], most: int, classes: Whole, used: Whole) -> Scenes:
    boxes = np.zeros((len(made), most, 4), np.float32)
    labels = np.full((len(made), most), NONE)
    rows = np.full((len(made), most), NONE)
    masks = np.empty((len(made), *made[0].owner.shape), np.uint8)
    for number, canvas in enumerate(made):
        objects = len(canvas.boxes)
        boxes[number, :objects] = canvas.boxes
        labels[number, :objects] = classes[canvas.rows]
        rows[number, :objects] = used[canvas.rows]
        masks[number] = np.append(0, 1 + classes[canvas.rows])[canvas.owner]
    return Scenes(
        images=torch.from_numpy(np.stack([canvas.pixels for canvas in made])),
        masks=torch.from_numpy(masks),
        boxes=torch.from_numpy(boxes),
        labels=torch.from_numpy(labels),
        rows=torch.from_numpy(rows),
        difficult=torch.zeros(labels.shape, dtype=torch.bool),
    )
