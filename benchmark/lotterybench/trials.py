"""What is written down of experiments: tracks, the results of their runs, and fidelities."""

from collections import Counter
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from lotterybench.records import (
    Record,
    Sha256,
    Slug,
    SubsetId,
    parse_ref,
    sha256_of,
)

Status = Literal["ok", "timeout", "oom", "crash", "invalid", "infra", "withdrawn"]
Isolation = Literal["self-reported", "rerun-unsandboxed", "rerun-sandboxed"]
Setting = str | int | float | bool
LARGEST_FAMILY = 4  # scored configurations: more would weigh more than another family's evidence
PRIMARY = r"^(\d+(\.\d+)?pct|\d+-classes)$"
METRICS = {  # all in per cent
    "classifier": ("accuracy",),
    "frozen": ("knn", "linear"),
    "finetuned": ("knn", "linear", "finetuned"),
}
WITHIN = "within"  # beside them: on a class subset's own classes, told apart from each other only


class Configuration(Record):
    """One entry of a track's pool: a registered method with its settings.

    `family` is the unit that the bootstrap resamples (objective group / backbone group).
    """

    name: Slug
    family: str
    method: str
    config: dict[str, Setting] = {}
    axis: str | None = None


class Cheaper(Record):
    """Another way to save than a subset: full data with less of something else.

    `control` trains for `amount` of the epochs (at least one), its warm-up and decay ending there;
    `low-resolution` on images of `amount` pixels a side; `narrower` at `amount` of the width. The
    equal-cost control of protocol §5 and what it is compared with.
    """

    arm: Literal["control", "low-resolution", "narrower"]
    amount: float = Field(gt=0)

    @model_validator(mode="after")
    def _holds(self) -> Self:
        if self.arm != "low-resolution" and self.amount >= 1:
            raise ValueError(
                f"a {self.arm} arm takes less than all: {self.amount:g} is not below 1"
            )
        if self.arm == "low-resolution" and self.amount != int(self.amount):
            raise ValueError(f"{self.amount:g} is no whole number of pixels")
        return self

    def __str__(self) -> str:
        return f"{self.arm}-{self.amount:g}"

    def applied(self, config: dict[str, Setting]) -> dict[str, Setting]:
        """Return a configuration's settings as this arm trains it."""
        if self.arm == "control":
            return {**config, "epochs": max(1, round(int(config["epochs"]) * self.amount))}
        if self.arm == "narrower":
            return {**config, "width": float(config.get("width", 1.0)) * self.amount}
        return config


class Seeds(Record):
    """How many seeds are planned on full data and on each subset."""

    full: int = Field(ge=1)
    subset: int = Field(ge=1)


class Track(Record):
    """A base, a frozen pool of configurations, seeds, an evaluation and a set of subsets.

    `kind` is `ranking` (the named subsets of the training split, each run on its own) or `exact`
    (every class subset of all images, in stacks of small networks: it names no subsets, its probe
    is `classifier`, and its seeds come in threes, a fold each).
    `resolution` is the side in pixels to which images are reduced by area means, if they are.
    `cheaper` are the arms that subsets are compared with at equal cost. `primary` is the budget
    that verdicts are about, as `10pct` or `10-classes`. `choose` names configurations, of families
    of their own, that a subset may be chosen with and that are never scored (protocol §6).
    `null` is how many random subsets are run beside each kind and size of the track's own subsets:
    20 for a verdict, 39 at the primary budget (protocol §5).
    `probe` is the evaluation: `classifier` (the network's own outputs on the subset's classes),
    `frozen` (k-NN and linear probe of the frozen encoder on the full training and test splits) or
    `finetuned` (these, and the accuracy after training encoder and a classifier on with labels).
    """

    schema_version: Literal[1]
    name: Slug
    version: int = Field(ge=1)
    title: str
    base: Slug
    kind: Literal["ranking", "exact"]
    resolution: int | None = None
    probe: Literal["classifier", "frozen", "finetuned"]
    metric: str
    seeds: Seeds
    configurations: list[Configuration] = Field(min_length=2)
    anchors: list[str] = []
    subsets: list[str] = []
    cheaper: list[Cheaper] = []
    primary: str | None = Field(default=None, pattern=PRIMARY)
    choose: list[str] = []
    null: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _holds(self) -> Self:
        names = [entry.name for entry in self.configurations]
        if len(set(names)) < len(names):
            raise ValueError("configuration names must be unique")
        if not set(self.anchors) < set(names):
            raise ValueError("anchors must be some, and not all, of the configurations")
        exact = self.probe == "classifier" and self.resolution is None and not self.subsets
        exact = exact and not self.null  # every subset is run: they are the population
        in_threes = self.seeds.full % 3 == self.seeds.subset % 3 == 0
        if self.kind == "exact" and not (exact and in_threes):
            raise ValueError(
                "an exact track has a classifier probe, seeds in threes, no resolution, no subsets "
                "and no null"
            )
        if not set(self.choose) <= set(names) - set(self.anchors):
            raise ValueError("the choose pool is of the track's configurations, without anchors")
        of = {entry.name: entry.family for entry in self.configurations}
        shared = {of[name] for name in self.choose} & {entry.family for entry in self.scored()}
        if shared:
            raise ValueError(
                f"family {min(shared)} is in the choose pool and scored; a family that a subset "
                "may be chosen with is not (protocol §6)"
            )
        if len({str(arm) for arm in self.cheaper}) < len(self.cheaper):
            raise ValueError("an arm is planned twice")
        if self.metric not in METRICS[self.probe]:
            raise ValueError(f"a {self.probe} probe measures {' or '.join(METRICS[self.probe])}")
        loose = [ref for ref in self.subsets if parse_ref(ref)[1] is None]
        if loose:
            raise ValueError(f"subsets are frozen with their version: {loose[0]}@1, say")
        sizes = Counter(entry.family for entry in self.scored())
        crowded = [family for family, size in sizes.items() if size > LARGEST_FAMILY]
        if crowded:
            raise ValueError(
                f"family {crowded[0]} has {sizes[crowded[0]]} scored configurations; "
                f"{LARGEST_FAMILY} are allowed (protocol §1)"
            )
        for entry in self.configurations:
            epochs = entry.config.get("epochs", 0)
            if type(epochs) is not int or epochs < 0:
                raise ValueError(f"{entry.name}: epochs is {epochs!r}; it is a whole number")
        return self

    def digest(self) -> str:
        """Return the sha256 that every result of the track carries."""
        return sha256_of(self.fields())

    def scored(self) -> list[Configuration]:
        """Return the configurations that are ranked: all but anchors and the choose pool."""
        apart = {*self.anchors, *self.choose}
        return [entry for entry in self.configurations if entry.name not in apart]


class Cost(Record):
    """What a run cost: training images seen, and the device it ran on.

    `flops` are the floating-point operations of the encoder's forward pass on one training image:
    a second network, such as a teacher or a head, and the backward pass are not in it. Measured
    seconds lie in a `.timings` file beside the results, so that these repeat exactly.
    """

    images_seen: int = Field(ge=0)
    device: str
    flops: float | None = Field(default=None, ge=0)


class Result(Record):
    """One run: one line of JSON.

    `flags` are signs of a collapsed encoder: `low-rank` (fewer than 5 effective dimensions of the
    test features), `no-spread` (normalised features that hardly differ). `precision` is that of the
    forward passes in training; `data` says whether images lay on the device or came from shards.
    """

    schema_version: Literal[1]
    track: Slug
    track_version: int
    track_digest: Sha256
    arm: Literal["full", "subset", "control", "low-resolution", "narrower"]
    amount: float | None = None
    scope: Literal["full", "subset"]
    base_digest: Sha256
    subset: SubsetId | None = None
    subset_version: int | None = None
    subset_digest: Sha256 | None = None
    data_digest: Sha256
    configuration: Slug
    family: str
    method: str
    config: dict[str, Setting] = {}
    epochs: int
    seed: int = Field(ge=0)
    status: Status
    reason: str | None = None
    metrics: dict[str, float] = {}
    flags: list[str] = []
    precision: Literal["fp32", "bf16"] = "fp32"
    data: Literal["resident", "streamed"] = "resident"
    cost: Cost
    software: dict[str, str]
    code_digest: Sha256
    origin: str
    isolation: Isolation

    @property
    def key(self) -> str:
        """The run key: the sha256 of everything planned that determines the numbers."""
        return run_key(
            self.track, self.track_version, arm_name(self.arm, self.amount), self.data_digest,
            self.configuration, self.method, self.config, self.seed,
        )  # fmt: skip


def arm_name(arm: str, amount: float | None) -> str:
    """Return an arm's name with its amount, as `control-0.1`; `full` and `subset` have none."""
    return arm if amount is None else f"{arm}-{amount:g}"


def run_key(
    track: str, track_version: int, arm: str, data_digest: str, configuration: str,
    method: str, config: dict[str, Any], seed: int,
) -> str:  # fmt: skip
    """Return the key under which a run is planned, resumed and never done twice."""
    return sha256_of([track, track_version, arm, data_digest, configuration, method, config, seed])


class Timing(Record):
    """Seconds that one run took here; kept beside the results, not in them."""

    key: Sha256
    seconds: float


class Curve(Record):
    """One epoch of a run's training: the mean loss and the learning rate at its end."""

    key: Sha256
    epoch: int = Field(ge=1)
    loss: float
    lr: float
