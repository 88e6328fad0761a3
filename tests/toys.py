"""Toy data that tests make, and the rule for parts that a machine may lack."""

import io
import os

import numpy as np
import pytest
from PIL import Image

REQUIRED = set(os.environ.get("LOTTERYBENCH_REQUIRE", "").split(","))


def need(part: str, there: bool, reason: str) -> None:
    """Skip a test whose part is missing here; fail it where that part is required."""
    if not there:
        (pytest.fail if part in REQUIRED else pytest.skip)(reason)


def toy_images(rows=60, classes=3, side=8, seed=0):
    """Return random RGB images, uint8 (rows, side, side, 3), and labels that each class has."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (rows, side, side, 3), dtype=np.uint8)
    return pixels, np.arange(rows) % classes


def write_toy(folder, pixels, labels, *, test=20, classes=3, encode="png", names=None):
    """Write a dataset folder with the layout of a Hub repository: img, label; train, test."""
    import datasets

    def encoded(image):
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, encode, lossless=True) if encode == "webp" else (
            Image.fromarray(image).save(buffer, encode)
        )
        return buffer.getvalue()

    features = datasets.Features(
        {
            "img": datasets.Image(),
            "label": datasets.ClassLabel(names=names or [f"class-{i}" for i in range(classes)]),
        }
    )
    folder.mkdir(parents=True, exist_ok=True)
    for split, part in (("train", slice(test, None)), ("test", slice(0, test))):
        rows = {
            "img": [
                {"bytes": encoded(image), "path": f"{split}-{number}.{encode}"}
                for number, image in enumerate(pixels[part])
            ],
            "label": [int(label) for label in labels[part]],
        }
        table = datasets.Dataset.from_dict(rows, features=features)
        table.to_parquet(folder / f"{split}-00000-of-00001.parquet")
    return folder
