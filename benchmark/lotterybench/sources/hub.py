"""Datasets with the layout of a Hugging Face repository: on the Hub or in a local folder."""

import hashlib
import io
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lotterybench.errors import BadData
from lotterybench.keyrings import file_key, pixel_key
from lotterybench.paths import data_folder
from lotterybench.progress import bar
from lotterybench.records import Origin, Split
from lotterybench.sources.base import Copy, Listing, Source, source
from lotterybench.sources.listing import Files, list_files

CHUNK = 500  # images a thread decodes at a time
# What `datasets` calls the splits of a folder without a card, whatever its files are called.
INFERRED = {"valid": "validation", "val": "validation", "dev": "validation", "eval": "test"}


class Hub(Source):
    """A dataset read by `datasets.load_dataset`, from `LOTTERYBENCH_DATA` if it lies there."""

    def settle(self, origin: Origin) -> Origin:
        """Pin the commit that a branch, a tag or no revision at all means today."""
        if origin.hub_id is None or local_folder(origin):
            return origin
        from huggingface_hub import HfApi

        try:
            revision = HfApi().dataset_info(origin.hub_id, revision=origin.revision).sha
        except Exception as error:  # the network's and the client's, of many classes
            reason = f"{type(error).__name__}: {error}".splitlines()[0][:300]
            raise BadData(f"{origin.hub_id} cannot be reached on the Hub ({reason})") from None
        return origin.model_copy(update={"revision": revision})

    def read(self, origin: Origin, split: Split) -> Copy:
        """Decode one split; raise `BadData` naming the row of an image that cannot be read."""
        table = _table(origin, split)
        image_column, label_column = columns(origin, table)
        labels = _labels(origin, split, table, label_column)
        files = _files(table, image_column)
        rows = range(0, len(table), CHUNK)

        def decode(start: int) -> list[tuple[bytes, NDArray[np.uint8], str]]:
            return [
                _decode(origin, split, start + offset, *file)
                for offset, file in enumerate(files(start, min(start + CHUNK, len(table))))
            ]

        keys, pixels, names = [], [], []
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for part in bar(pool.map(decode, rows), len(rows), f"reading {origin.id} {split}"):
                for key, image, name in part:
                    keys.append(key)
                    pixels.append(image)
                    names.append(name)
        odd = next((row for row, p in enumerate(pixels) if p.shape != pixels[0].shape), None)
        if odd is not None:
            raise BadData(
                f"{origin.id}: {split} row {odd} ({names[odd]}) differs in size from row 0; "
                "a base has images of one size"
            )
        return Copy(
            keys,
            labels,
            names,
            np.stack(pixels),
            list(table.features[label_column].names),
        )

    def listing(self, origin: Origin, split: Split, *, look: bool = False) -> Listing:
        """Hash one split's files and let them lie; raise `BadData` naming the row of a bad one."""
        if origin.key_kind == "pixels":
            return super().listing(origin, split, look=look)
        table = _table(origin, split)
        image_column, label_column = columns(origin, table)
        labels = _labels(origin, split, table, label_column)
        names = list(table.features[label_column].names)
        return list_files(origin, split, _files(table, image_column), labels, names, look=look)

    def fingerprint(self, origin: Origin, split: Split) -> str | None:
        """Return a digest of the local files' names, sizes and times, or the Hub revision."""
        folder = local_folder(origin)
        if folder is None:
            return origin.revision
        stats = [(str(file.relative_to(folder)), file.stat()) for file in _all_files(folder)]
        text = repr([(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats])
        return hashlib.sha256(f"{folder.resolve()}{text}".encode()).hexdigest()


def local_folder(origin: Origin) -> Path | None:
    """Return the folder of a base inside `LOTTERYBENCH_DATA`, if it is there."""
    root = data_folder()
    folder = root / (origin.folder or origin.id) if root else None
    return folder if folder is not None and folder.is_dir() else None


def columns(origin: Origin, table: Any) -> tuple[str, str]:
    """Return the names of the image and label columns: as declared, else the only ones there."""
    from datasets import ClassLabel, Image

    found = []
    for declared, kind, option in (
        (origin.image_column, Image, "--image"),
        (origin.label_column, ClassLabel, "--label"),
    ):
        fitting = [name for name, feature in table.features.items() if isinstance(feature, kind)]
        if declared is not None and declared not in fitting:
            raise BadData(
                f"{origin.id} has no {kind.__name__} column {declared!r}; it has {fitting}"
            )
        if declared is None and len(fitting) != 1:
            raise BadData(
                f"{origin.id} has the {kind.__name__} columns {fitting}; name one: {option}"
            )
        found.append(declared or fitting[0])
    return found[0], found[1]


def _table(origin: Origin, split: Split) -> Any:
    import datasets

    folder = local_folder(origin)
    if folder is None and origin.hub_id is None:
        raise BadData(
            f"{origin.id} lies on no Hub; set LOTTERYBENCH_DATA to the folder that holds "
            f"{origin.folder or origin.id}/"
        )
    name = origin.split_names[split]
    datasets.disable_progress_bars()
    try:
        if folder is not None:
            if name not in datasets.get_dataset_split_names(str(folder)):
                name = INFERRED.get(name, name)
            return datasets.load_dataset(str(folder), split=name)
        return datasets.load_dataset(
            origin.hub_id, origin.config, revision=origin.revision, split=name
        )
    except Exception as error:  # whatever a client, the network or a damaged file may raise
        place = folder or f"{origin.hub_id}@{origin.revision} on the Hub"
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:300]
        raise BadData(
            f"{origin.id} {split} cannot be read from {place} ({reason}); "
            "set LOTTERYBENCH_DATA to a folder that holds a copy, or go online"
        ) from None
    finally:
        datasets.enable_progress_bars()


def _labels(origin: Origin, split: Split, table: Any, column: str) -> NDArray[np.int64]:
    labels = np.asarray(table[column], dtype=np.int64)
    if (labels < 0).any():
        raise BadData(f"{origin.id}: {split} row {int(np.argmax(labels < 0))} has no label")
    return labels


def _files(table: Any, column: str) -> Files:
    """Return a function from a range of rows to their (content, name) pairs, undecoded."""
    import datasets

    raw = table.select_columns([column]).cast_column(column, datasets.Image(decode=False))

    def files(start: int, stop: int) -> Iterator[tuple[bytes, str]]:
        for row, cell in enumerate(raw[start:stop][column], start):
            content = cell["bytes"]
            if content is None:
                content = Path(cell["path"]).read_bytes()
            path = Path(cell["path"] or f"row {row}")
            # Of a file in a folder of classes, the class, too.
            yield content, "/".join(path.parts[-2:]) if path.is_absolute() else path.name

    return files


def _decode(
    origin: Origin, split: Split, row: int, content: bytes, name: str
) -> tuple[bytes, NDArray[np.uint8], str]:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as image:
            pixels = np.asarray(image.convert(origin.mode))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = str(error).splitlines()[0]
        raise BadData(
            f"{origin.id}: {split} row {row} ({name}) is no readable image: {reason}"
        ) from None
    if origin.size is not None and pixels.shape[:2] != origin.size:
        height, width = origin.size
        raise BadData(
            f"{origin.id}: {split} row {row} ({name}) is {pixels.shape[1]}×{pixels.shape[0]} "
            f"pixels, not {width}×{height}"
        )
    key = file_key(content) if origin.key_kind == "encoded" else pixel_key(pixels)
    return key, pixels if pixels.ndim == 3 else pixels[..., None], name


def _all_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file())


source.add("hub", Hub())
