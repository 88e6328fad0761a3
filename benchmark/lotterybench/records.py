"""What is written down of data: bases and subset manifests, and how digests are taken."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from lotterybench.errors import BadRecord
from lotterybench.schema import SLUG as SLUG
from lotterybench.schema import Record as Record
from lotterybench.schema import Sha256 as Sha256
from lotterybench.schema import Slug as Slug
from lotterybench.schema import SubsetId as SubsetId
from lotterybench.schema import canonical_json as canonical_json
from lotterybench.schema import sha256_of as sha256_of

WordNetId = Annotated[str, Field(pattern=r"^n[0-9]{8}$")]
Split = Literal["train", "test"]
SPLITS: tuple[Split, Split] = ("train", "test")


class Origin(Record):
    """Where copies of a dataset are read from, and how: enough to read it before it is pinned.

    `folder` is its folder inside `LOTTERYBENCH_DATA` (default: the id). `key_kind` says whether a
    sample's key is of its pixels or of its encoded file; `size` is (height, width) in pixels.
    `part_of` is a subset, as `base/name@version`, whose samples are all there is to train on.
    `wordnet_ids` are the synsets of the classes, in the order of labels. Of a `sealed` dataset no
    image may be published: its releases hold manifests, and what shards must be.
    """

    id: Slug
    title: str
    source: str
    hub_id: str | None = None
    revision: str | None = None
    config: str | None = None
    folder: str | None = None
    part_of: str | None = None
    image_column: str | None = None
    label_column: str | None = None
    split_names: dict[Split, str] = {"train": "train", "test": "test"}
    key_kind: Literal["pixels", "encoded"] = "pixels"
    mode: Literal["RGB", "L"] = "RGB"
    size: tuple[int, int] | None = None
    mirror: bool = True
    wordnet_ids: list[WordNetId] | None = None
    licence: str = "unknown"
    redistributable: bool = False
    sealed: bool = False
    citation: str = ""


class SplitInfo(Record):
    """One split of a base: its size, and the digest of its content."""

    rows: int = Field(gt=0)
    digest: Sha256


class Base(Origin):
    """A pinned full dataset.

    `digest` covers what the images and labels are (the digests of both splits' full keys and
    labels, the class names, the kind of key), and nothing about where a copy of them lies.
    `mirror` says whether a mirrored image keeps its class. Images of `several_sizes`, which only a
    dataset keyed by file may have, are at least `size`.
    """

    schema_version: Literal[1]
    size: tuple[int, int]
    several_sizes: bool = False
    splits: dict[Split, SplitInfo]
    class_names: list[str] = Field(min_length=2)
    keyring_digest: Sha256
    digest: Sha256

    @model_validator(mode="after")
    def _holds(self) -> Self:
        _check_classes(self.class_names, self.wordnet_ids)
        if set(self.splits) != set(SPLITS):
            raise ValueError("a base has the splits train and test")
        if self.several_sizes and self.key_kind == "pixels":
            raise ValueError("a base keyed by pixels has images of one size")
        return self

    def content_digest(self) -> str:
        """Return what `digest` must be."""
        content: dict[str, Any] = {
            "key_kind": self.key_kind,
            "mode": self.mode,
            "classes": self.class_names,
            "splits": {name: split.digest for name, split in self.splits.items()},
        }
        if not self.mirror:  # it changes how images are augmented; the usual case leaves no trace
            content["mirror"] = False
        return sha256_of(content)

    def class_indices(self, names: list[str]) -> list[int]:
        """Return the labels of classes given by name; raise `BadRecord` for an unknown name."""
        index = {name: label for label, name in enumerate(self.class_names)}
        strange = [name for name in names if name not in index]
        if strange:
            raise BadRecord(f"{self.id} has no class {', '.join(map(repr, strange[:5]))}")
        return [index[name] for name in names]


class Declared(Origin):
    """A base of which only the classes are known here: class lists can be cut, nothing be read.

    `digest` covers class names and synsets. Pinned with its images, the base gets another digest
    and its lists are built anew: a class list of a declared base is a preview.
    """

    schema_version: Literal[1]
    class_names: list[str] = Field(min_length=2)
    digest: Sha256

    @model_validator(mode="after")
    def _holds(self) -> Self:
        _check_classes(self.class_names, self.wordnet_ids)
        return self

    def content_digest(self) -> str:
        """Return what `digest` must be."""
        return sha256_of({"classes": self.class_names, "wordnet_ids": self.wordnet_ids})


def _check_classes(names: list[str], synsets: list[str] | None) -> None:
    if len(set(names)) < len(names):
        raise ValueError("class names must be unique")
    if synsets is not None and len(synsets) != len(names):
        raise ValueError(f"{len(synsets)} WordNet ids for {len(names)} classes")


class Budget(Record):
    """How much of the training split was asked for: exactly one of the three is given."""

    count: int | None = Field(default=None, gt=0)
    fraction: float | None = Field(default=None, gt=0, le=1)
    classes: int | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(value is not None for value in (self.count, self.fraction, self.classes)) != 1:
            raise ValueError("give exactly one of count, fraction and classes")
        return self


class Positions(Record):
    """The positions file of a samples subset; `sha256` covers its columns, not Parquet's bytes."""

    count: int = Field(gt=0)
    columns: list[str]
    sha256: Sha256


class Proxy(Record):
    """A training that signals were recorded of; `config` holds the method's own settings.

    `families` names it as tracks name families, by its backbone and by its backbone's group:
    configurations of these families cannot judge what was selected with it.
    """

    method: str
    config: dict[str, Any]
    families: list[str]
    epochs: int = Field(ge=1)
    resolution: int | None = None
    labels: bool

    def label(self) -> str:
        """Return method, backbone and length in a few words."""
        side = f" at {self.resolution} px" if self.resolution else ""
        return f"{self.method} {self.config.get('backbone', '')}{side}, {self.epochs} epochs"


class SelectedWith(Record):
    """What a selector was shown: results of methods, signals and their proxy, labels.

    `methods` is a choose pool, `families` its families (never scored, protocol §6), `recordings`
    its recorded sets in that order, of `seeds` each, that saw `images` in training.
    """

    methods: list[str] = []
    families: list[str] = []
    recordings: list[Sha256] = []
    images: int = 0
    seeds: list[int] = []
    signals: Sha256 | None = None
    proxy: Proxy | None = None
    proxy_seeds: list[int] = []
    proxy_folds: int = 3  # of a proxy that reads labels: it was also trained without each
    labels: bool = False


STREAM_EPOCHS = 100  # of a stream that its manifest lists the digests of


class PriorTargets(Record):
    """The targets that a stream's samples are trained towards (protocol §10).

    `prior` names the network that made them, `weights` is the sha256 of its weights, `digest` that
    of the targets, which have `dimension` components.
    """

    prior: str
    weights: Sha256
    dimension: int = Field(ge=1)
    digest: Sha256


class Stream(Record):
    """What a subset of kind `stream` draws: the digests of its epochs 0 to 99 (see `streams`).

    The rule needs no more than the manifest's seed and the fraction of its budget. `targets` are
    those of accelerated training; a stream of the base method has none.
    """

    epochs: list[Sha256] = Field(min_length=STREAM_EPOCHS, max_length=STREAM_EPOCHS)
    targets: PriorTargets | None = None


class CreatedWith(Record):
    """The software that made a manifest; `code` is the digest of the selection code."""

    lotterybench: str
    code: Sha256


# What may be said of a released manifest later on, without touching what it selects.
AFTERWARDS = frozenset({"digest", "superseded_by", "withdrawn"})


class Subset(Record):
    """A manifest: one named, versioned selection of a base's training split."""

    schema_version: Literal[1]
    id: SubsetId
    version: int = Field(ge=0)
    base: Slug
    base_digest: Sha256
    kind: Literal["classes", "samples", "stream"]
    selector: str
    settings: dict[str, Any] = {}
    seed: int = Field(ge=0)
    budget: Budget
    classes: list[str] | None = None
    positions: Positions | None = None
    stream: Stream | None = None
    selected_with: SelectedWith
    created_with: CreatedWith
    digest: Sha256
    superseded_by: str | None = None
    withdrawn: str | None = None

    @model_validator(mode="after")
    def _holds(self) -> Self:
        if self.id.split("/")[0] != self.base:
            raise ValueError(f"id {self.id!r} does not begin with its base {self.base!r}")
        given = {
            "classes": ("classes", bool(self.classes)),
            "samples": ("positions", self.positions is not None),
            "stream": ("stream", self.stream is not None),
        }
        for kind, (field, there) in given.items():
            if there != (self.kind == kind):
                needs = "needs the" if self.kind == kind else "has no"
                raise ValueError(f"a subset of kind {self.kind} {needs} field {field}")
        if self.stream is not None and self.budget.fraction is None:
            raise ValueError("a stream's budget is a fraction of the samples")
        if self.classes is not None and len(set(self.classes)) < len(self.classes):
            twice = sorted({name for name in self.classes if self.classes.count(name) > 1})
            raise ValueError(f"classes are named twice: {', '.join(twice)}")
        return self

    @property
    def name(self) -> str:
        """The part of the id after the base."""
        return self.id.split("/", 1)[1]

    @property
    def ref(self) -> str:
        """The id with its version, as `base/name@1`."""
        return f"{self.id}@{self.version}"

    def true_digest(self) -> str:
        """Return what `digest` must be: the sha256 of the manifest without what comes later."""
        return sha256_of(self.fields(without=AFTERWARDS))

    def data_digest(self) -> str:
        """Return the digest of the data selected: the base's, and the positions or classes.

        Of a stream the positions of its epochs, so that its targets change no random number.
        """
        chosen = self.positions.sha256 if self.positions else self.classes
        if self.stream is not None:
            chosen = self.stream.epochs
        return sha256_of([self.base_digest, self.kind, chosen])


def parse_ref(text: str) -> tuple[str, int | None]:
    """Split `base/name` or `base/name@3` into id and version (None: the newest)."""
    match = re.fullmatch(rf"({SLUG}/{SLUG})(?:@(\d+))?", text)
    if not match:
        raise BadRecord(f"{text!r} is no subset id; the form is base/name or base/name@version")
    return match[1], int(match[2]) if match[2] else None
