"""The rules that a manifest keeps against its base, and every one that it breaks."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from lotterybench.errors import BadRequest
from lotterybench.keyrings import Keyring
from lotterybench.provenance import package_version
from lotterybench.records import STREAM_EPOCHS, Base, CreatedWith, Declared, Positions, Subset
from lotterybench.streams import digests_of_epochs

Columns = Mapping[str, NDArray[np.generic]]


def describe_positions(columns: Columns) -> Positions:
    """Return count, column names and the digest of a positions file's content.

    Each column enters the sha256 as name, dtype and little-endian bytes.
    """
    digest = hashlib.sha256()
    for name, values in columns.items():
        little = np.asarray(values).astype(np.asarray(values).dtype.newbyteorder("<"))
        digest.update(f"{name}\0{little.dtype.str}\0".encode() + little.tobytes())
    return Positions(
        count=len(columns["position"]), columns=list(columns), sha256=digest.hexdigest()
    )


def manifest_of(base: Base | Declared, name: str, *, code: str, **fields: Any) -> Subset:
    """Return the manifest `name` of a base, with its digest; `code` is the digest of what chose.

    Raises `BadRequest` naming the first rule of manifests that the fields break.
    """
    try:
        draft = Subset(
            schema_version=1, id=f"{base.id}/{name}", base=base.id, base_digest=base.digest,
            created_with=CreatedWith(lotterybench=package_version(), code=code),
            digest="0" * 64, **fields,
        )  # fmt: skip
    except ValidationError as error:
        raise BadRequest(f"{base.id}/{name}: {error.errors()[0]['msg']}") from None
    return draft.model_copy(update={"digest": draft.true_digest()})


def problems(
    subset: Subset, columns: Columns | None, base: Base | Declared, keyring: Keyring | None
) -> list[str]:
    """Return every rule that a manifest breaks against its base; [] if it holds.

    `keyring` is None for a base that is only declared. Of a stream, the first epoch is drawn.
    """
    found = []
    if subset.base_digest != base.digest:
        found.append(
            f"base_digest {subset.base_digest[:12]}… is not that of {base.id} ({base.digest[:12]}…)"
        )
    if subset.true_digest() != subset.digest:
        found.append(
            f"digest {subset.digest[:12]}… is wrong; "
            f"the manifest's content gives {subset.true_digest()[:12]}…"
        )
    if subset.classes is not None:
        strange = [name for name in subset.classes if name not in base.class_names]
        if strange:
            found.append(f"{base.id} has no class {', '.join(map(repr, strange[:5]))}")
        if subset.budget.classes not in (None, len(subset.classes)):
            found.append(f"{len(subset.classes)} classes, the budget says {subset.budget.classes}")
    if subset.classes is None and keyring is None:
        found.append(f"{base.id} is declared only: there are no samples to select")
    elif subset.stream is not None and keyring is not None:
        found += stream_problems(subset, keyring, epochs=1)
    elif subset.positions is not None and columns is not None and keyring is not None:
        found += _position_problems(subset, columns, len(keyring.keys["train"]))
    return found


def _position_problems(subset: Subset, columns: Columns, rows: int) -> list[str]:
    found = []
    position = np.asarray(columns["position"]).astype(np.int64)
    values, counts = np.unique(position, return_counts=True)
    if (counts > 1).any():
        twice = values[counts > 1]
        found.append(f"position {twice[0]} occurs {counts.max()} times ({len(twice)} duplicated)")
    outside = values[(values < 0) | (values >= rows)]
    if len(outside):
        found.append(f"position {outside[0]} is outside 0..{rows - 1} ({len(outside)} such)")
    assert subset.positions is not None
    there = describe_positions(columns)
    if there.count != subset.positions.count:
        found.append(f"{there.count} positions, the manifest says {subset.positions.count}")
    if there != subset.positions:
        found.append("the positions file does not have the sha256 that the manifest names")
    wanted = subset.budget.count
    if subset.budget.fraction is not None:
        wanted = round(subset.budget.fraction * rows)
    if wanted not in (None, there.count):
        found.append(f"{there.count} positions, the budget asks for {wanted}")
    return found


def stream_problems(subset: Subset, keyring: Keyring, epochs: int = STREAM_EPOCHS) -> list[str]:
    """Return what is wrong with a stream's digests, of its first `epochs`; [] if they hold."""
    if subset.stream is None or subset.budget.fraction is None:
        return []
    keys, ratio = keyring.keys["train"], subset.budget.fraction
    try:
        found = digests_of_epochs(keys, subset.seed, ratio, epochs)
    except BadRequest as error:
        return [str(error)]
    wrong = [t for t, digest in enumerate(found) if digest != subset.stream.epochs[t]]
    if not wrong:
        return []
    more = f" ({len(wrong)} such)" if len(wrong) > 1 else ""
    return [f"epoch {wrong[0]} of the stream does not have the digest that is listed{more}"]
