"""Pinning a dataset keyed by file: images of several sizes, read one after the other."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from photos import CLASSES, COUNTS, pin_photos, write_photos
from PIL import Image

from lotterybench.errors import BadData
from lotterybench.keyrings import canonical_order, file_key, short
from lotterybench.manifests import find_base, load_keyring
from lotterybench.records import SPLITS, Base
from lotterybench.shards import shard_problems, write_shards
from lotterybench.shards.files import image_files
from lotterybench.sources import encoded, files, images, origin_of, pin


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Pin a toy base of photographs; return its folder."""
    monkeypatch.setenv("LOTTERYBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("LOTTERYBENCH_SUBSETS", str(tmp_path / "subsets"))
    return pin_photos(tmp_path)[0]


def by_hand(folder, split):
    """Return the files of a split in canonical order, with their labels."""
    found = [
        (path.read_bytes(), CLASSES.index(path.parent.name))
        for path in sorted((folder / split).rglob("*.JPEG"))
    ]
    keys = [file_key(content) for content, _ in found]
    order = canonical_order(keys, np.array([label for _, label in found]))
    return [found[row] for row in order]


def test_a_base_of_several_sizes(photos):
    base, _ = find_base("photos")
    ring = load_keyring("photos")
    assert base.several_sizes and base.sealed and base.key_kind == "encoded"
    sizes = set()
    for split in SPLITS:
        wanted = by_hand(photos, split)
        assert len(wanted) == 3 * COUNTS[split]
        keys = short([file_key(content) for content, _ in wanted])
        assert ring.keys[split].tolist() == keys.tolist()
        assert ring.labels[split].tolist() == [label for _, label in wanted]
        assert encoded("photos", split) == [content for content, _ in wanted]
        for path in (photos / split).rglob("*.JPEG"):
            with Image.open(path) as image:
                sizes.add(image.size)
    assert base.size == (min(h for _, h in sizes), min(w for w, _ in sizes))


def test_a_file_is_read_when_it_is_asked_for(photos):
    found = files("photos", "train")
    content = found.content(5)
    assert file_key(content) == found.keys[5]
    place = photos / "train" / found.names[5]
    place.write_bytes(content + b"\0")
    name = found.names[5]
    with pytest.raises(BadData, match=rf"train row \d+ \({name}\) was changed while it was read"):
        found.content(5)


def test_its_pixels_are_not_held(photos):
    with pytest.raises(BadData, match="photos has images of several sizes: its files can be"):
        images("photos", "train")


@pytest.mark.parametrize("change", ["content", "missing", "more"])
def test_another_copy_is_told_apart(photos, change):
    first = photos / "train/cat/IMG_0003.JPEG"
    if change == "content":
        shutil.copy(photos / "test/dog/IMG_0001.JPEG", first)
    elif change == "missing":
        first.unlink()
    else:
        shutil.copy(photos / "test/dog/IMG_0001.JPEG", photos / "train/cat/extra.JPEG")
    with pytest.raises(BadData, match="this copy of photos is not the pinned copy") as caught:
        files("photos", "train")
    name = {"content": "IMG_0003.JPEG", "missing": "keyring position", "more": "extra.JPEG"}[change]
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
    files("photos", "test")


def test_a_truncated_file_is_named(photos, tmp_path):
    file = photos / "train/dog/IMG_0002.JPEG"
    file.write_bytes(file.read_bytes()[:600])
    with pytest.raises(BadData, match=r"train row \d+ \(dog/IMG_0002.JPEG\) is no readable image"):
        pin(origin_of(str(photos), by_file=True))


def test_images_of_one_size_are_so_pinned(tmp_path, monkeypatch):
    monkeypatch.setenv("LOTTERYBENCH_DATA", str(tmp_path))
    folder = write_photos(tmp_path / "squares", side=24)
    base, _ = pin(origin_of(str(folder), by_file=True))
    assert base.size == (24, 24)
    assert not {"several_sizes", "sealed"} & set(base.fields())
    told = json.loads(base.pretty()) | {"several_sizes": True, "sealed": True}
    other = Base.read(json.dumps(told), "other")
    assert other.content_digest() == base.digest  # where copies lie, and what may be done, is apart


def test_one_png_among_many_jpegs_is_no_hindrance(tmp_path, monkeypatch):
    """As in ImageNet-1k; readers go by content, whatever the member is called."""
    from datasets import load_dataset

    from lotterybench.build import build_subset, save_subset
    from lotterybench.manifests import save_base
    from lotterybench.records import Budget

    monkeypatch.setenv("LOTTERYBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("LOTTERYBENCH_SUBSETS", str(tmp_path / "subsets"))
    monkeypatch.setattr("lotterybench.shards.files.STRAY", 30)
    folder = write_photos(tmp_path / "data/photos")
    odd = folder / "train/cat/IMG_0003.JPEG"
    with Image.open(odd) as image:
        image.save(odd, "png")
    save_base(*pin(origin_of(str(folder), by_file=True)), tmp_path / "subsets")
    made = build_subset("photos", "uniform", Budget(fraction=1.0), name="all")
    save_subset(*made, tmp_path / "subsets")
    base, _ = find_base("photos")
    assert image_files(base, "train")[0] == "jpg"
    write_shards(["photos/all"], tmp_path / "out")
    assert shard_problems(tmp_path / "out") == []
    rows = load_dataset(str(tmp_path / "out"), "all", split="train")
    assert sorted(row["jpg"].format for row in rows) == ["JPEG"] * 35 + ["PNG"]


PINNED = """
import sys
from pathlib import Path
from lotterybench.sources import origin_of, pin
def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024
import datasets, PIL.Image
datasets.disable_progress_bars()
pin(origin_of(sys.argv[1], by_file=True))
before = peak()
base, _ = pin(origin_of(sys.argv[2], by_file=True))
print(base.splits["train"].rows, before, peak())
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_images(tmp_path, monkeypatch):
    """36 MB of files, 180 MB of pixels, after a small base: keys, labels and names alone stay."""
    monkeypatch.setenv("LOTTERYBENCH_DATA", str(tmp_path))
    write_photos(tmp_path / "small")
    large = write_photos(tmp_path / "large", counts={"train": 1, "test": 1}, side=500)
    [first] = (large / "train/cat").iterdir()
    content = first.read_bytes()
    for number in range(1, 240):  # each of its own size and content: a comment more
        extra = number.to_bytes(2, "big") + bytes(number)
        segment = b"\xff\xfe" + (len(extra) + 2).to_bytes(2, "big") + extra
        (large / f"train/cat/IMG_{number:04d}.JPEG").write_bytes(
            content[:2] + segment + content[2:]
        )
    total = sum(file.stat().st_size for file in large.rglob("*.JPEG")) / 2**20
    done = subprocess.run(
        [sys.executable, "-c", PINNED, str(tmp_path / "small"), str(large)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    rows, before, after = map(float, done.stdout.split())
    assert rows == 242
    assert total > 30
    assert after - before < total / 2
