"""Subsets as datasets: of the base's own images, or of a release on the Hub.

local.py       a manifest, with the images of the base
released.py    a release, with the images in its tars
columns.py     the columns that both have
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Literal, get_args, overload

from datasets import Dataset, IterableDataset

from lotterybench.errors import BadRecord, BadRequest, HubError, UnknownName
from lotterybench.loading.local import from_images
from lotterybench.manifests import find_manifest
from lotterybench.records import Split, parse_ref

Format = Literal["torch", "numpy"]
PER_PART = 500  # samples of a part of a local subset that is streamed, as of a tar


@overload
def load_subset(
    ref: str | Path, split: Split = ..., *, revision: str | None = ..., repo: str | None = ...,
    streaming: Literal[False] = ..., format: Format | None = ..., epoch: int | None = ...,
    targets: str | Path | None = ...,
) -> Dataset: ...  # fmt: skip


@overload
def load_subset(
    ref: str | Path, split: Split = ..., *, revision: str | None = ..., repo: str | None = ...,
    streaming: Literal[True], format: Format | None = ..., epoch: int | None = ...,
    targets: str | Path | None = ...,
) -> IterableDataset: ...  # fmt: skip


def load_subset(
    ref: str | Path, split: Split = "train", *, revision: str | None = None,
    repo: str | None = None, streaming: bool = False, format: Format | None = None,
    epoch: int | None = None, targets: str | Path | None = None,
) -> Dataset | IterableDataset:  # fmt: skip
    """Return a split of a subset, checked, with images decoded when they are read.

    Columns: `image`, `label` (of a class list counted from 0; `base_label` is the base's) and
    `key`, 16 hex digits. With `format` "torch", images are uint8 (C, H, W) and labels int64;
    with "numpy", images are uint8 (H, W, C), or (H, W) if they are grey.

    A local manifest gives the base's own images in the manifest's order. Of a stream, the training
    split is what `epoch` draws, 0 unless given; `targets`, a prior or the `.npy` file of its
    targets, adds the column `target`, float16 (d,), if they are those that the manifest names
    (protocol §10). The files lie in memory, undecoded.

    With `revision` or `repo`, or if no manifest of that name is here, the subset comes from the
    release `revision`, by default the newest, of the dataset repository `repo`, by default
    ORG/lotterybench-BASE; `LOTTERYBENCH_ORG` names ORG. Its samples are in the order of the tars;
    those of a stream with targets have theirs as `target`. A tag is resolved to a commit, and only
    the subset's records and the split's tars are downloaded, into the cache of huggingface_hub.
    Every file is hashed whenever it is read. If the Hub does not answer, that very release is
    taken from the cache, never another.

    `streaming` reads a tar whole when its first sample is asked for, from the cache or else from
    the Hub without keeping it, and checks it before it yields any sample. It has as many shards as
    there are tars. That the tars make up the whole split is not checked: a reader may see a part.

    Raises `BadRequest` for an epoch, targets or a release that the subset does not have;
    `BadRecord` for a manifest that does not hold; `BadData` if the base's images are not at hand;
    `BadShards` for a release that is not what its index says; `HubError` if a file can neither be
    downloaded nor found in the cache.
    """
    if split not in get_args(Split):
        raise BadRequest(f"there is no split {split!r}; there are {', '.join(get_args(Split))}")
    if format is not None and format not in get_args(Format):
        raise BadRequest(f"there is no format {format!r}; there are {', '.join(get_args(Format))}")
    data: Dataset | IterableDataset
    missing = _missing(ref) if revision is None and repo is None else None
    if revision is None and repo is None and missing is None:
        data, notes = from_images(ref, split, epoch, targets)
        if streaming:
            data = data.to_iterable_dataset(num_shards=max(1, -(-len(data) // PER_PART)))
    else:
        if targets is not None:
            raise BadRequest("a release has the targets of its streams; leave targets out")
        data, notes = _released(str(ref), split, epoch, repo, revision, streaming, missing)
    for note in dict.fromkeys(notes):
        warnings.warn(note, stacklevel=2)
    return data if format is None else data.with_format(format)


def _missing(ref: str | Path) -> UnknownName | None:
    """Return why there is no local manifest of that name; None if there is one."""
    try:
        find_manifest(str(ref))
    except UnknownName as error:
        return error
    return None


def _released(
    ref: str, split: Split, epoch: int | None, repo: str | None, revision: str | None,
    streaming: bool, missing: UnknownName | None,
) -> tuple[Dataset | IterableDataset, list[str]]:  # fmt: skip
    from lotterybench.hub.revisions import repo_of
    from lotterybench.loading.released import from_release

    try:
        base = parse_ref(ref)[0].split("/")[0]
    except BadRecord:
        base = ""
    if not base or ref.endswith(".json"):
        raise BadRequest(
            f"{ref!r} is no subset of a release; the form is base/name or base/name@version"
        )
    where = repo or repo_of(base)
    try:
        return from_release(
            ref, split, epoch, repo=where, revision=revision, streaming=streaming
        )  # fmt: skip
    except HubError as error:
        if missing is None:
            raise
        raise UnknownName(f"{missing}; nor does {where} have it: {error}") from None
