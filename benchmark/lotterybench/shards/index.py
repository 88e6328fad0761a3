"""The index of a shard folder: what it holds, with a sha256 for every file."""

import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from lotterybench.paths import base_file, keyring_file, manifest_file
from lotterybench.records import SLUG, SPLITS, Record, Sha256, Slug, Split, parse_ref
from lotterybench.sources import ImageKind as ImageKind

INDEX = "shards.json"
CARD = "README.md"
INFO = "_info.json"
CROISSANT = "croissant.json"
FIDELITY = "fidelity.json"
DATA = "data"
MANIFESTS = "manifests"
TARGETS = "targets"
UNFINISHED = ".unfinished"  # marks a folder whose writing was interrupted

MANIFEST = re.compile(rf"{MANIFESTS}/({SLUG}/{SLUG})/v(0|[1-9][0-9]*)\.json")
Ref = Annotated[str, Field(pattern=rf"^{SLUG}/{SLUG}@(?:0|[1-9][0-9]*)$", max_length=180)]


def _inside(path: str) -> str:
    """Return a path if it stays inside the folder whatever lies there; raise `ValueError`."""
    for part in path.split("/"):
        if part in (".", "..") or not re.fullmatch(r"[A-Za-z0-9_.-]+", part):
            raise ValueError("a path has parts of letters, digits and ._- only, no . or ..")
    return path


Inside = Annotated[str, AfterValidator(_inside)]


class Shard(Record):
    """One tar: its path in the folder, how many samples it holds, its size and digest."""

    path: Inside
    samples: int = Field(gt=0)
    bytes: int = Field(gt=0)
    sha256: Sha256


class Config(Record):
    """What `load_dataset(folder, name)` finds: a manifest, its class names and its shards.

    `targets` is the digest of the targets that lie beside the training images, if any do.
    `family` names the nested configs whose training tars this one's begin with, smallest first,
    itself last; a config with tars of its own has none.
    """

    name: Slug
    subset: Ref
    digest: Sha256
    class_names: list[str]
    shards: dict[Split, list[Shard]]
    targets: Sha256 | None = None
    family: tuple[Slug, ...] = ()

    @model_validator(mode="after")
    def _holds(self) -> Self:
        if set(self.shards) != set(SPLITS):
            raise ValueError("a config has the splits train and test")
        return self

    @property
    def manifest(self) -> str:
        """The path of the manifest in the folder."""
        subset, version = parse_ref(self.subset)
        assert version is not None  # as in every Ref
        return manifest_file(Path(MANIFESTS), subset, version).as_posix()

    @property
    def targets_path(self) -> str | None:
        """The path of the targets of all training images in the folder, if there are any."""
        return f"{TARGETS}/{self.targets[:16]}.npy" if self.targets else None

    def count(self, split: Split) -> int:
        """Return the number of samples in a split."""
        return sum(shard.samples for shard in self.shards[split])


class ShardIndex(Record):
    """Everything a shard folder holds; `image` is the extension of the samples' image files.

    `others` has the sha256 of every file that is neither a tar nor the index itself. A `sealed`
    folder holds no tars: its configs say what they must be.
    """

    base: Slug
    base_digest: Sha256
    image: ImageKind
    configs: list[Config] = Field(min_length=1)
    others: dict[Inside, Sha256]
    sealed: bool = False

    @model_validator(mode="after")
    def _holds(self) -> Self:
        names = [config.name for config in self.configs]
        if len(set(names)) < len(names):
            raise ValueError("names of configs must be unique")
        needed = [CARD, self.base_path, self.keyring_path] + [INFO] * (not self.sealed)
        needed += [config.manifest for config in self.configs]
        needed += [config.targets_path for config in self.configs if config.targets_path]
        absent = [path for path in needed if path not in self.others]
        if absent:
            raise ValueError(f"others does not list {', '.join(absent[:5])}")
        first: dict[str, Config] = {}
        for config in self.configs:
            self._check_family(config)
            for shard in config.shards["train"]:
                other = first.setdefault(shard.path, config)
                if config.name not in (other.name, *other.family) and (
                    other.name not in config.family
                ):
                    raise ValueError(
                        f"{config.name} and {other.name} share {shard.path} without being a family"
                    )
        return self

    def _check_family(self, config: Config) -> None:
        """Refuse a family that is not as long as its name says, or whose tars do not grow."""
        if not config.family:
            return
        by_name = {other.name: other for other in self.configs}
        *smaller, last = config.family
        if last != config.name or not set(smaller) <= by_name.keys():
            raise ValueError(f"{config.name}: family names configs of the folder, itself last")
        if smaller:
            next_one = by_name[smaller[-1]]
            first = next_one.shards["train"]
            if (
                next_one.family != tuple(smaller)
                or config.shards["train"][: len(first)] != first
                or next_one.shards["test"] != config.shards["test"]
            ):
                raise ValueError(f"{config.name}: tars of nested configs begin with the smaller's")

    @property
    def base_path(self) -> str:
        """The path of the base's record in the folder."""
        return base_file(Path(MANIFESTS), self.base).as_posix()

    @property
    def keyring_path(self) -> str:
        """The path of the base's keyring in the folder."""
        return keyring_file(Path(MANIFESTS), self.base).as_posix()

    @property
    def manifests(self) -> dict[str, str]:
        """The paths of all manifests in the folder, of configs or not, with the `base/name@1`."""
        found = ((path, MANIFEST.fullmatch(path)) for path in self.others)
        return {path: f"{named[1]}@{named[2]}" for path, named in found if named}

    def shards(self) -> set[Shard]:
        """Return all tars; several configs may share one."""
        return {
            shard
            for config in self.configs
            for part in config.shards.values()
            for shard in part
        }  # fmt: skip

    def tars(self) -> set[Shard]:
        """Return the tars that lie in the folder: all, or none of a sealed one."""
        return set() if self.sealed else self.shards()

    def files(self) -> set[str]:
        """Return the paths of all files of the folder."""
        return {shard.path for shard in self.tars()} | set(self.others) | {INDEX}
