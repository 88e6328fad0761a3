"""PASCAL VOC as scenes, where a copy of it lies (Everingham et al. 2010).

Images are stretched to squares. Detection learns the trainval images of 2007 and 2012 and is tested
on those of 2007's test; segmentation learns 2012's train and is tested on its val.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple
from xml.etree.ElementTree import ParseError

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.datasets import (  # type: ignore[import-untyped]
    VOCDetection,
    VOCSegmentation,
)

from lotterybench.errors import BadData
from lotterybench.methods.base.dense.scenes import IGNORED, NONE, Scenes
from lotterybench.paths import data_folder
from lotterybench.records import Split

FOLDER = "voc"  # inside LOTTERYBENCH_DATA; holds VOCdevkit/
CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip
DETECTION = {"train": (("2007", "trainval"), ("2012", "trainval")), "test": (("2007", "test"),)}
SEGMENTATION = {"train": (("2012", "train"),), "test": (("2012", "val"),)}


class _Object(NamedTuple):
    box: tuple[float, float, float, float]
    label: int
    difficult: bool


def voc_boxes(split: Split, side: int) -> Scenes:
    """Read the images and boxes of a split, `side` pixels wide; every pixel's class is `IGNORED`.

    `rows` holds the number in each image's name, which no two images of VOC share. Raises `BadData`
    where the copy is missing, or is not what it should be.
    """
    images, objects, rows = [], [], []
    for year, part in DETECTION[split]:
        held = _opened(VOCDetection, year, part)
        for number, file in enumerate(held.images):
            picture, told = _read(held, number, file)
            images.append(_square(picture, side))
            objects.append(_objects(told, file, side / picture.width, side / picture.height))
            rows.append(_row(file))
    return _scenes(images, objects, rows, side)


def voc_masks(split: Split, side: int) -> Scenes:
    """Read the images and masks of a split, `side` pixels wide; there are no boxes.

    Outlines stay `IGNORED`. Raises `BadData` where the copy is missing, or not what it should be.
    """
    images, masks, rows = [], [], []
    for year, part in SEGMENTATION[split]:
        held = _opened(VOCSegmentation, year, part)
        for number, file in enumerate(held.images):
            picture, mask = _read(held, number, file)
            images.append(_square(picture, side))
            masks.append(_mask(mask, file, side))
            rows.append(_row(file))
    none: list[list[_Object]] = [[] for _ in images]
    return _scenes(images, none, rows, side, masks)


def _opened(kind: Any, year: str, part: str) -> Any:
    root = data_folder()
    if root is None:
        raise BadData(
            f"PASCAL VOC is looked for in {FOLDER}/VOCdevkit/VOC{year} inside LOTTERYBENCH_DATA, "
            "which is not set"
        )
    place = root / FOLDER / "VOCdevkit" / f"VOC{year}"
    if not place.is_dir():
        raise BadData(f"PASCAL VOC {year} {part} is looked for in {place}, which is no folder")
    try:
        return kind(root / FOLDER, year=year, image_set=part, download=False)
    except OSError as error:
        raise BadData(f"PASCAL VOC {year} {part} cannot be read: {error}") from None


def _read(held: Any, number: int, file: str) -> tuple[Image.Image, Any]:
    """Return an image and what is told of it."""
    try:
        picture, told = held[number]
        return picture, told
    except (OSError, SyntaxError, ParseError) as error:
        raise BadData(f"{file} or what belongs to it cannot be read: {error}") from None


def _row(file: str) -> int:
    name = Path(file).stem
    try:
        return int(name.replace("_", ""))
    except ValueError:
        raise BadData(f"{file} is not named by a number, as 000005 or 2007_000027") from None


def _square(picture: Image.Image, side: int) -> NDArray[np.uint8]:
    """Stretch an RGB image to a square, uint8 (3, side, side), averaging where it shrinks."""
    small = picture.resize((side, side), Image.Resampling.BILINEAR)
    return np.asarray(small).transpose(2, 0, 1)


def _mask(picture: Image.Image, file: str, side: int) -> NDArray[np.uint8]:
    """Stretch a palette image to a square by nearest pixel; its colours' numbers are classes."""
    found = np.asarray(picture.resize((side, side), Image.Resampling.NEAREST))
    odd = (found > len(CLASSES)) & (found != IGNORED) if found.dtype == np.uint8 else found != 0
    if found.ndim != 2 or found.dtype != np.uint8 or odd.any():
        raise BadData(
            f"the mask of {file} is to be a palette image of 0 to {len(CLASSES)} and {IGNORED}"
        )
    return found


def _objects(told: Any, file: str, across: float, down: float) -> list[_Object]:
    """Return an annotation's objects; its pixels count from 1, the right and lower inclusive."""
    try:
        return [
            _Object(_box(entry["bndbox"], across, down), CLASSES.index(entry["name"]),
                    entry.get("difficult", "0") == "1")
            for entry in told["annotation"].get("object", [])
        ]  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadData(f"the annotation of {file} is not VOC's: {error!r}") from None


def _box(told: dict[str, str], across: float, down: float) -> tuple[float, float, float, float]:
    left, top, right, bottom = (float(told[name]) for name in ("xmin", "ymin", "xmax", "ymax"))
    if not (left <= right and top <= bottom):
        raise ValueError(f"box {left:g} {top:g} {right:g} {bottom:g}")
    return (left - 1) * across, (top - 1) * down, right * across, bottom * down


def _scenes(
    images: list[NDArray[np.uint8]],
    objects: list[list[_Object]],
    rows: list[int],
    side: int,
    masks: list[NDArray[np.uint8]] | None = None,
) -> Scenes:
    if not images:
        raise BadData("PASCAL VOC's list of images is empty")
    most = max(map(len, objects))
    boxes = torch.zeros(len(images), most, 4)
    labels = torch.full((len(images), most), NONE)
    numbers, difficult = labels.clone(), torch.zeros(len(images), most, dtype=torch.bool)
    for number, found in enumerate(objects):
        for place, entry in enumerate(found):
            boxes[number, place] = torch.tensor(entry.box)
            labels[number, place], numbers[number, place] = entry.label, rows[number]
            difficult[number, place] = entry.difficult
    unknown = torch.full((len(images), side, side), IGNORED, dtype=torch.uint8)
    return Scenes(
        images=torch.from_numpy(np.stack(images)),
        masks=unknown if masks is None else torch.from_numpy(np.stack(masks)),
        boxes=boxes,
        labels=labels,
        rows=numbers,
        difficult=difficult,
    )
