"""What lies beside the tars of a folder: card, Croissant, timm's index, our index; and stale files.

A sealed folder has no tars: its index says what they must be, so that whoever has a copy of the
base can make them. There is nothing in it for `datasets`, timm or Croissant's readers.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from lotterybench.errors import BadRequest
from lotterybench.records import Base, Split, Subset, canonical_json
from lotterybench.shards.card import card
from lotterybench.shards.croissant import croissant
from lotterybench.shards.figures import Figure, written
from lotterybench.shards.index import (
    CARD,
    CROISSANT,
    DATA,
    FIDELITY,
    INDEX,
    INFO,
    MANIFESTS,
    TARGETS,
    UNFINISHED,
    Config,
    ImageKind,
    ShardIndex,
)
from lotterybench.storage import write_whole

OURS = tuple(f"{folder}/" for folder in (DATA, MANIFESTS, TARGETS))
AT_TOP = (CARD, INFO, CROISSANT, FIDELITY, INDEX)
Entry = tuple[Config, Subset]  # a config and the manifest that it shards


def complete(
    out: Path, base: Base, image: ImageKind, entries: Sequence[Entry], *,
    copies: Mapping[str, bytes], targets: Mapping[str, str], before: set[str],
    figures: Sequence[Figure] = (), sealed: bool = False,
) -> ShardIndex:  # fmt: skip
    """Write everything but tars and targets, last the index, and remove what was there `before`.

    `copies` are files to write as they are, `targets` the sha256 of those that lie there.
    """
    configs = [config for config, _ in entries]
    others = dict(copies) | {CARD: card(base, image, entries, figures=figures, sealed=sealed)}
    if not sealed:
        others[INFO] = canonical_json(_timm_info(configs))
        others[CROISSANT] = croissant(base, image, entries)
    if figures:
        others[FIDELITY] = written(figures)
    for path, content in others.items():
        write_whole(out / path, content)
    digests = {path: hashlib.sha256(content).hexdigest() for path, content in others.items()}
    digests |= targets
    index = ShardIndex(
        base=base.id, base_digest=base.digest, image=image, configs=configs,
        others={path: digests[path] for path in sorted(digests)}, sealed=sealed,
    )  # fmt: skip
    write_whole(out / INDEX, index.pretty())
    for stale in sorted(before - index.files()):
        remove(out, stale)
    (out / UNFINISHED).unlink(missing_ok=True)
    return index


def left_over(out: Path) -> set[str]:
    """Return the files that earlier shards left in a folder, finished or not.

    A folder that holds anything else is refused. Until the index is written, a marker says that
    whatever lies in `data/` and `manifests/` is ours.
    """
    there = {path.name for path in out.iterdir()} if out.exists() else set()
    if UNFINISHED in there:
        drafts = [file for name in AT_TOP for file in out.glob(f".{name}.*")]
        inside = [file for part in OURS for file in (out / part).rglob("*")]
        found = {file.relative_to(out).as_posix() for file in drafts + inside}
        return found | (there & set(AT_TOP))
    if not there:
        return set()
    if INDEX not in there:
        raise BadRequest(f"{out} holds other files than shards; give an empty folder with --out")
    index = ShardIndex.read((out / INDEX).read_bytes(), str(out / INDEX))
    return {path for path in index.files() if path.startswith(OURS) or path in AT_TOP}


def remove(out: Path, path: str) -> None:
    """Remove a file and the folders that it leaves empty; never through a linked folder."""
    file = out / path
    if file.parent.resolve() != out.resolve() / Path(path).parent:
        return
    if file.is_file() or file.is_symlink():
        file.unlink()
    for folder in (out / parent for parent in Path(path).parents[:-1]):
        if not folder.is_dir() or any(folder.iterdir()):
            break
        folder.rmdir()


def _timm_info(configs: Sequence[Config]) -> dict[str, object]:
    """Return what timm's `wds/` reader wants in `_info.json`: a split per subset and per test."""
    splits = {}
    for config in configs:
        for split, shards in config.shards.items():
            name = timm_name(config.name, split)
            splits[name] = {
                "name": name,
                "num_samples": config.count(split),
                "filenames": [shard.path for shard in shards],
                "shard_lengths": [shard.samples for shard in shards],
            }
    return {"splits": splits}


def timm_name(name: str, split: Split) -> str:
    """Return the name of a config's split for readers that know splits alone."""
    return name if split == "train" else f"{name}-test"
