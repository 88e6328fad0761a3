"""A toy base of photographs: JPEG files of several sizes in folders of classes; its subsets."""

import io

import numpy as np
from PIL import Image

CLASSES = ["bird", "cat", "dog"]
COUNTS = {"train": 12, "test": 4}  # images of each class


def jpeg(rng, side=None):
    """Return a JPEG file of noise, of any size from 20 to 59 pixels a side."""
    height, width = (side, side) if side else rng.integers(20, 60, 2)
    pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "jpeg")
    return buffer.getvalue()


def write_photos(folder, *, seed=0, counts=None, side=None):
    """Write folders train/cat/… and test/cat/… of JPEG files, named as cameras do."""
    rng = np.random.default_rng(seed)
    for split, count in (counts or COUNTS).items():
        for name in CLASSES:
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                (folder / split / name / f"IMG_{number:04d}.JPEG").write_bytes(jpeg(rng, side))
    return folder


def pin_photos(root, *, sealed=True, **options):
    """Write and pin photos below `root`, with a class list and two nested subsets."""
    from lotterybench.build import build_subset, save_subset
    from lotterybench.manifests import save_base
    from lotterybench.records import Budget
    from lotterybench.sources import origin_of, pin

    folder, subsets = write_photos(root / "data/photos", **options), root / "subsets"
    pinned = pin(origin_of(str(folder), by_file=True, sealed=sealed))
    save_base(*pinned, subsets)
    for name, selector, budget in (
        ("few", "uniform", Budget(count=8)),
        ("half", "uniform", Budget(count=18)),
        ("pets", "every-kth-class", Budget(classes=2)),
    ):
        save_subset(*build_subset("photos", selector, budget, name=name), subsets)
    return folder, subsets


REFS = ["photos/few", "photos/half", "photos/pets"]
