"""A base that is a part of another: the training samples of a subset, and the whole test split."""

from collections.abc import Iterator

import numpy as np

from lotterybench.errors import BadRecord
from lotterybench.keyrings import file_key, pixel_key
from lotterybench.manifests import find_base, load_keyring, load_subset_manifest
from lotterybench.records import Origin, Split
from lotterybench.sources.base import Copy, Listing, Source, source
from lotterybench.sources.listing import list_files
from lotterybench.sources.pinned import files, images


class Part(Source):
    """The samples that a manifest selects, read from its own base."""

    def read(self, origin: Origin, split: Split) -> Copy:
        """Return one split, in the order of the whole base's keyring."""
        base, rows = _rows(origin, split)
        found = images(base, split)
        pixels = found.pixels[rows]
        record, _ = find_base(base)
        if record.key_kind == "encoded":
            content = files(base, split).content
            keys = [file_key(content(row)) for row in rows.tolist()]
        else:
            flat = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
            keys = [pixel_key(image) for image in flat]
        return Copy(
            keys=keys,
            labels=found.labels[rows],
            names=[f"{base} {split} position {row}" for row in rows],
            pixels=pixels,
            class_names=record.class_names,
        )

    def listing(self, origin: Origin, split: Split, *, look: bool = False) -> Listing:
        """List one split, in the order of the whole base's keyring."""
        base, rows = _rows(origin, split)
        record, _ = find_base(base)
        if origin.key_kind == "pixels" or record.key_kind == "pixels":
            return super().listing(origin, split, look=look)
        whole = files(base, split)

        def theirs(start: int, stop: int) -> Iterator[tuple[bytes, str]]:
            for row in rows[start:stop].tolist():
                yield whole.content(row), f"{base} {split} position {row}"

        names = record.class_names
        return list_files(origin, split, theirs, whole.labels[rows], names, look=look)

    def fingerprint(self, origin: Origin, split: Split) -> str | None:
        """Return the digests of the whole base and of the subset."""
        assert origin.part_of is not None
        subset, _ = load_subset_manifest(origin.part_of)
        return f"{subset.data_digest()} {load_keyring(subset.base).digest()}"


def _rows(origin: Origin, split: Split) -> tuple[str, np.ndarray]:
    assert origin.part_of is not None
    subset, positions = load_subset_manifest(origin.part_of)
    if positions is None:
        raise BadRecord(f"{origin.part_of} is a list of classes; a part of a base needs samples")
    whole = np.arange(len(load_keyring(subset.base).keys[split]))
    return subset.base, np.sort(positions) if split == "train" else whole


source.add("part", Part())
