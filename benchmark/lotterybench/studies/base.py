"""What all ticket studies share: how networks are trained and pruned, and one stage's line."""

from collections.abc import Iterable
from typing import Literal, Self

from pydantic import Field, model_validator

from lotterybench.records import Record, Sha256, Slug, sha256_of
from lotterybench.trials import Setting, Status


class Recipe(Record):
    """How a network is trained: a backbone with a linear classifier, on cross-entropy.

    `milestones` and `warm_up` are in epochs; the rate falls by `factor` at each milestone.
    `optimiser` is one of timm's names (`momentum` is SGD with momentum .9). `strength` times an
    eighth of the side is how far images are shifted.
    """

    backbone: str
    epochs: int = Field(ge=1)
    lr: float = Field(gt=0)
    batch: int = Field(default=128, ge=2)
    optimiser: Literal["momentum", "sgd", "adam", "adamw"] = "momentum"
    weight_decay: float = Field(default=1e-4, ge=0)
    milestones: list[int] = []
    factor: float = Field(default=0.1, gt=0, lt=1)
    warm_up: int = Field(default=0, ge=0)
    width: float = Field(default=1.0, gt=0)
    strength: float = Field(default=1.0, ge=0)

    @model_validator(mode="after")
    def _holds(self) -> Self:
        inside = all(0 < at < self.epochs for at in self.milestones)
        if sorted(self.milestones) != self.milestones or not inside:
            raise ValueError(
                f"milestones {self.milestones} do not rise between 0 and {self.epochs} epochs"
            )
        if self.warm_up >= self.epochs:
            raise ValueError(f"a warm-up of {self.warm_up} epochs fills all {self.epochs}")
        return self

    def lasting(self, epochs: int, share: float | None = None) -> "Recipe":
        """Return the recipe for so many epochs: milestones and warm-up shrink, rounded down.

        `share` is of all epochs, where `epochs` is rounded. One epoch at least comes before the
        rate falls.
        """
        share = epochs / self.epochs if share is None else share
        return self.model_copy(
            update={
                "epochs": epochs,
                "milestones": [max(1, int(epoch * share)) for epoch in self.milestones],
                "warm_up": min(int(self.warm_up * share), epochs - 1),
            }
        )

    def scaled(self, share: float) -> "Recipe":
        """Return the recipe for `share` of its epochs, rounded down, and one at least."""
        return self.lasting(max(1, int(self.epochs * share)), share)


class Pruning(Record):
    """How a network is pruned: rounds of magnitude pruning, and what they may prune.

    After each of `rounds` trainings `share` of what is left goes, over all tensors together or
    `in_each`. Weights go back to where they were after `rewind` epochs (0: initialisation).
    `rate_rewinds` says whether the schedule goes back there too, or to its beginning. `stem` and
    `shortcuts` are as in `pruning.prunable.Rules`.
    """

    rounds: int = Field(ge=1)
    share: float = Field(default=0.2, gt=0, lt=1)
    rewind: int = Field(default=0, ge=0)
    rate_rewinds: bool = False
    in_each: bool = False
    stem: bool = True
    shortcuts: bool = True

    def density(self, level: int) -> float:
        """Return the part of prunable weights that is left at a level: (1 − share)^level."""
        return float((1 - self.share) ** level)


class Study(Record):
    """A study of tickets: trainings that hang on one another, planned whole before any is run.

    `seeds` is the number of replicates. `resolution` is the side in pixels to which images are
    reduced by area means, if they are.
    """

    schema_version: Literal[1]
    name: Slug
    version: int = Field(ge=1)
    title: str
    kind: str
    base: Slug
    resolution: int | None = None
    seeds: int = Field(ge=1)

    def digest(self) -> str:
        """Return the sha256 that every finding of the study carries."""
        return sha256_of(self.fields())


class Finding(Record):
    """What came of one stage of a study: one line of JSON.

    `arm` and `of` say which stage it is (architecture, source, target, level, …), `seed` which
    replicate. `metrics` are in per cent where they are accuracies. `digests` are of what it made:
    masks, sets, weights. `images` counts images that were trained on, `looked` those that only
    went forward through a network (validation, inference), `steps` those of the optimiser.
    """

    schema_version: Literal[1]
    study: Slug
    study_version: int
    study_digest: Sha256
    key: Sha256
    stage: str
    arm: str
    of: dict[str, Setting] = {}
    seed: int = Field(ge=0)
    status: Status
    reason: str | None = None
    metrics: dict[str, float] = {}
    digests: dict[str, Sha256] = {}
    images: int = Field(default=0, ge=0)
    looked: int = Field(default=0, ge=0)
    steps: int = Field(default=0, ge=0)
    base_digest: Sha256
    precision: Literal["fp32", "bf16"] = "fp32"
    device: str
    software: dict[str, str]
    code_digest: Sha256
    origin: str
    isolation: Literal["self-reported", "rerun-unsandboxed", "rerun-sandboxed"]

    def passes(self) -> float:
        """Return the cost in forward passes of an image: one of training counts as three."""
        return 3.0 * self.images + self.looked


def failures(findings: Iterable[Finding]) -> list[str]:
    """Return a line for each stage that came to no result, with the reason."""
    return [
        f"{one.stage} of {one.arm}"
        + "".join(f", {name} {value}" for name, value in one.of.items())
        + f", seed {one.seed}: {one.status} ({one.reason})"
        for one in findings
        if one.status != "ok"
    ]
