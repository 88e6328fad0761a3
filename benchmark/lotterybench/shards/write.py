"""Writing shards: tars, card and index of a set of subsets of one base."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from lotterybench.errors import BadRequest
from lotterybench.manifests import find_base, find_manifest, load_drawn, load_keyring
from lotterybench.paths import base_file, keyring_file, manifest_file, positions_file
from lotterybench.progress import bar
from lotterybench.records import SPLITS, Base, Split, Subset, canonical_json
from lotterybench.shards.card import card
from lotterybench.shards.files import image_files
from lotterybench.shards.index import (
    CARD,
    DATA,
    INDEX,
    INFO,
    MANIFESTS,
    TARGETS,
    UNFINISHED,
    Config,
    Shard,
    ShardIndex,
)
from lotterybench.shards.members import npy, write_tar
from lotterybench.shards.samples import Rows, samples_of
from lotterybench.storage import staged, write_whole
from lotterybench.stream_targets import Half, targets_for, told_by, write_targets

OURS = tuple(f"{folder}/" for folder in (DATA, MANIFESTS, TARGETS))
PER_SHARD = 500  # samples; 2 MB of 32×32 images, so that small subsets still feed several workers


class Choice(NamedTuple):
    """A subset to shard: its manifest, its positions (None for a class list) and its file.

    Of a stream the positions are epoch 0's; `targets` are those of all training images.
    """

    subset: Subset
    positions: Rows | None
    file: Path
    targets: Half | None = None


def write_shards(
    refs: Sequence[str], out: Path, *, per_shard: int = PER_SHARD, prior: str | None = None
) -> ShardIndex:
    """Write the shards of subsets of one base into a folder; equal arguments, equal bytes.

    `refs` are ids (`base/name`, `base/name@2`) or manifest files; of a stream, epoch 0 is written.
    `prior` gives the targets of streams that name some (`targets_for`). A folder that holds older
    shards is brought up to date; one that holds anything else is refused (`BadRequest`).
    """
    chosen = [Choice(*load_drawn(ref), find_manifest(ref)) for ref in refs]
    _check([choice.subset for choice in chosen])
    before = _before(out)
    chosen = _with_targets(chosen, prior)
    base, root = find_base(chosen[0].subset.base)
    copies = _copies(base, root, chosen)
    writer = Writer(base, out, per_shard)
    write_whole(out / UNFINISHED, b"")
    entries = [
        (writer.config(choice.subset, choice.positions, choice.targets), choice.subset)
        for choice in bar(chosen, len(chosen), f"writing shards of {base.id}")
    ]
    entries.sort(key=lambda entry: (entry[0].count("train"), entry[0].name))
    configs = [config for config, _ in entries]
    others = copies | {
        INFO: canonical_json(_timm_info(configs)),
        CARD: card(base, writer.image, entries),
    }
    for path, content in others.items():
        write_whole(out / path, content)
    digests = {path: hashlib.sha256(content).hexdigest() for path, content in others.items()}
    digests |= writer.targets
    index = ShardIndex(
        base=base.id,
        base_digest=base.digest,
        image=writer.image,
        configs=configs,
        others={path: digests[path] for path in sorted(digests)},
    )
    write_whole(out / INDEX, index.pretty())
    for stale in sorted(before - index.files()):
        _remove(out, stale)
    (out / UNFINISHED).unlink()
    return index


class Writer:
    """Writes the tars of one base, and those of the shared test split once.

    Making one reads both splits. `image` is the extension of the samples' image files; `targets`
    has the sha256 of every file of targets, by its path.
    """

    def __init__(self, base: Base, out: Path, per_shard: int) -> None:
        self.base, self.out, self.per_shard = base, out, per_shard
        self.image, train = image_files(base, "train")
        self._file = {"train": train, "test": image_files(base, "test", self.image)[1]}
        self._ring = load_keyring(base.id)
        self._test: list[Shard] | None = None
        self.targets: dict[str, str] = {}

    def config(self, subset: Subset, positions: Rows | None, targets: Half | None = None) -> Config:
        """Write one subset's tars; class lists get contiguous labels and a test split of theirs."""
        found: dict[Split, tuple[Rows, Rows]] = {
            split: samples_of(subset, positions, self.base, self._ring, split) for split in SPLITS
        }
        stem = f"{DATA}/{subset.name}"
        shards = {"train": self._tars(f"{stem}/train", "train", *found["train"], targets)}
        if subset.classes is not None:
            shards["test"] = self._tars(f"{stem}/test", "test", *found["test"])
        else:
            self._test = self._test or self._tars(f"{DATA}/test/test", "test", *found["test"])
            shards["test"] = self._test
        config = Config(
            name=subset.name, subset=subset.ref, digest=subset.digest,
            class_names=subset.classes or self.base.class_names, shards=shards,
            targets=None if targets is None else told_by(subset).digest,
        )  # fmt: skip
        if targets is not None and config.targets_path is not None:
            file = self.out / config.targets_path
            self.targets[config.targets_path] = write_targets(file, targets)
        return config

    def _tars(
        self, stem: str, split: Split, rows: Rows, labels: Rows, targets: Half | None = None
    ) -> list[Shard]:
        shards = []
        for number, start in enumerate(range(0, len(rows), self.per_shard)):
            part = slice(start, start + self.per_shard)
            members = self._members(split, rows[part], labels[part], targets)
            path = self.out / f"{stem}-{number:05d}.tar"
            with staged(path) as draft:
                write_tar(draft, members)
                content = draft.read_bytes()
            shards.append(
                Shard(
                    path=path.relative_to(self.out).as_posix(),
                    samples=len(rows[part]),
                    bytes=len(content),
                    sha256=hashlib.sha256(content).hexdigest(),
                )
            )
        return shards

    def _members(
        self, split: Split, rows: Rows, labels: Rows, targets: Half | None
    ) -> Iterator[tuple[str, bytes]]:
        for row, label in zip(rows.tolist(), labels.tolist(), strict=True):
            yield f"{row:08d}.cls", str(label).encode()
            yield f"{row:08d}.{self.image}", self._file[split](row)
            if targets is not None:
                yield f"{row:08d}.npy", npy(targets[row])


def _with_targets(chosen: Sequence[Choice], prior: str | None) -> list[Choice]:
    """Add their targets to streams that name some; refuse a prior too many or too few."""
    found = []
    for choice in chosen:
        stream = choice.subset.stream
        if stream is not None and stream.targets is not None:
            if prior is None:
                raise BadRequest(
                    f"{choice.subset.ref} names targets of {stream.targets.prior}; give them with "
                    "--prior, a prior or the .npy file of its targets (protocol §10)"
                )
            choice = choice._replace(targets=targets_for(choice.subset, prior))
        found.append(choice)
    if prior is not None and chosen and all(choice.targets is None for choice in found):
        told_by(chosen[0].subset)
    return found


def _check(subsets: Sequence[Subset]) -> None:
    """Refuse subsets that cannot share a folder."""
    bases = sorted({subset.base for subset in subsets})
    if len(bases) != 1:
        raise BadRequest(
            f"one folder holds one base; the subsets are of {', '.join(bases) or 'none'}"
        )
    names = [subset.name for subset in subsets]
    if len(set(names)) < len(names) or "test" in names:
        raise BadRequest("each subset may be given once, and none may be named test")
    for name in names:
        if _timm_name(name, "test") in names:
            raise BadRequest(
                f"for timm, the subset {name}-test and the test split of {name} have one name; "
                "write them to two folders"
            )


def _before(out: Path) -> set[str]:
    """Return the tars, manifests and targets that earlier shards left in a folder, finished or not.

    A folder that holds anything else is refused. Until the index is written, a marker says that
    whatever lies in `data/` and `manifests/` is ours.
    """
    there = {path.name for path in out.iterdir()} if out.exists() else set()
    if UNFINISHED in there:
        drafts = [file for name in (CARD, INFO, INDEX) for file in out.glob(f".{name}.*")]
        inside = [file for part in OURS for file in (out / part).rglob("*")]
        return {file.relative_to(out).as_posix() for file in drafts + inside}
    if not there:
        return set()
    if INDEX not in there:
        raise BadRequest(f"{out} holds other files than shards; give an empty folder with --out")
    index = ShardIndex.read((out / INDEX).read_bytes(), str(out / INDEX))
    return {path for path in index.files() if path.startswith(OURS)}


def _copies(base: Base, root: Path, chosen: Sequence[Choice]) -> dict[str, bytes]:
    """Return the bytes of the base's and the subsets' files, by their path in the folder."""
    target = Path(MANIFESTS)
    sources = {
        base_file(target, base.id): base_file(root, base.id),
        keyring_file(target, base.id): keyring_file(root, base.id),
    }
    for subset, _, file, _ in chosen:
        manifest = manifest_file(target, subset.id, subset.version)
        sources[manifest] = file
        if subset.positions is not None:
            sources[positions_file(manifest)] = positions_file(file)
    return {path.as_posix(): source.read_bytes() for path, source in sources.items()}


def _remove(out: Path, path: str) -> None:
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
            name = _timm_name(config.name, split)
            splits[name] = {
                "name": name,
                "num_samples": config.count(split),
                "filenames": [shard.path for shard in shards],
                "shard_lengths": [shard.samples for shard in shards],
            }
    return {"splits": splits}


def _timm_name(name: str, split: Split) -> str:
    return name if split == "train" else f"{name}-test"
