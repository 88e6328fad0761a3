"""The plan of a study of lottery tickets in pre-trained networks (CV-LTH; Chen et al. 2021)."""

from typing import Literal, Self

from pydantic import Field, model_validator

from lotterybench.records import Record, Slug
from lotterybench.studies.base import Pruning, Recipe, Study
from lotterybench.trials import Setting

Kind = Literal["classification", "detection", "segmentation"]
PRIMARY: dict[str, str] = {
    "classification": "accuracy", "detection": "ap50", "segmentation": "miou",
}  # fmt: skip
PRETASK = "pretask"  # a mask that was found on the pre-training task itself
WHOLE = "all"  # the mask of level 0, which prunes nothing


class Parts(Record):
    """The shares of a base's training split, by distinct images: none is in two parts."""

    pretraining: float = Field(default=0.4, gt=0)
    finding: float = Field(default=0.3, gt=0)
    downstream: float = Field(default=0.3, gt=0)

    @model_validator(mode="after")
    def _holds(self) -> Self:
        if self.pretraining + self.finding + self.downstream > 1 + 1e-9:
            raise ValueError("the parts are more than the whole training split")
        return self


class Rounds(Record):
    """How a round on the pre-training task is trained: SGD with momentum, at a fixed rate."""

    epochs: int = Field(ge=1)
    lr: float = Field(gt=0)
    batch: int = Field(default=128, ge=2)
    weight_decay: float = Field(default=1e-4, ge=0)


class Pretraining(Record):
    """One way to come to weights: a method with its settings, and how its rounds are trained.

    Without `rounds` no masks are found on its task, as random initialisation has none.
    """

    name: Slug
    method: str
    settings: dict[str, Setting] = {}
    rounds: Rounds | None = None


class Canvases(Record):
    """Scenes that are composed of a base's images, or read from PASCAL VOC.

    `finding`, `downstream` and `test` are how many are composed of each part; VOC has its own
    number. `side` is theirs in pixels; objects are `smallest` to `largest` of half of it.
    """

    side: int = Field(ge=16)
    finding: int = Field(default=0, ge=0)
    downstream: int = Field(default=0, ge=0)
    test: int = Field(default=0, ge=0)
    most: int = Field(default=3, ge=1)
    smallest: float = 0.5
    largest: float = 1.0
    source: Literal["composed", "voc"] = "composed"

    @model_validator(mode="after")
    def _holds(self) -> Self:
        if self.source == "composed" and 0 in (self.finding, self.downstream, self.test):
            raise ValueError("composed scenes are to be counted: finding, downstream and test")
        return self


class Target(Record):
    """A task that tickets are trained on, and the margin of non-inferiority in its points.

    Its primary metric is accuracy, AP50 or mean IoU, in per cent. `base` is the study's own unless
    it is named; that of PASCAL VOC is the canvases' own.
    """

    name: Slug
    task: Kind
    recipe: Recipe
    margin: float = Field(default=0.5, gt=0)
    base: Slug | None = None
    canvases: Canvases | None = None

    @property
    def metric(self) -> str:
        """The metric that verdicts are about."""
        return PRIMARY[self.task]

    @model_validator(mode="after")
    def _holds(self) -> Self:
        if (self.canvases is None) != (self.task == "classification"):
            raise ValueError(
                f"{self.name}: detection and segmentation have canvases, and only they"
            )
        if self.name == WHOLE or self.name.startswith(PRETASK):
            raise ValueError(f"a target cannot be named {self.name}; that names masks")
        return self


class Variant(Record):
    """A mask made of another: how, and what part of its weights is exchanged or flipped."""

    how: Literal["complement", "random-global", "random-layerwise", "flip", "swap"]
    part: float = Field(default=0.1, gt=0, le=1)

    @property
    def name(self) -> str:
        """What its findings are called."""
        return f"{self.how}-{self.part:g}" if self.how in ("flip", "swap") else self.how


class PretrainedStudy(Study):
    """Tickets found on pre-training tasks and on targets, each trained from pre-trained weights.

    `weights` says whether each pre-training is run once or anew for each seed. At `levels` masks
    are trained on targets, `seeds` times, beside `dense` networks that nothing is pruned of.
    `transfers` has masks found on one target trained on the others as well. Pre-trainings of
    `crossed` are also trained under the masks of the others' tasks. `variants` are of masks found
    on pre-training tasks, at the levels `perturbed`, on the targets `perturbed_on`. Networks see
    images of `resolution` pixels: smaller ones are grown by repeating pixels. `retrieved` is how
    many test images retrieval accuracy looks at.
    """

    kind: Literal["pretrained"]
    backbone: str
    parts: Parts = Parts()
    pretrainings: list[Pretraining] = Field(min_length=1)
    targets: list[Target] = Field(min_length=1)
    pruning: Pruning
    levels: list[int]
    dense: int = Field(default=8, ge=2)
    weights: Literal["one", "each"] = "one"
    transfers: bool = False
    crossed: list[Slug] = []
    variants: list[Variant] = []
    perturbed: list[int] = []
    perturbed_on: list[Slug] = []
    retrieved: int = Field(default=256, ge=2)

    @model_validator(mode="after")
    def _holds(self) -> Self:
        if self.pruning.stem or self.pruning.rewind:
            raise ValueError("the first convolution is not pruned, and weights go back to epoch 0")
        if sorted({0, *self.levels}) != self.levels or self.levels[-1] != self.pruning.rounds:
            raise ValueError(f"levels rise from 0 to the {self.pruning.rounds} rounds of pruning")
        _distinct("pre-trainings", [one.name for one in self.pretrainings])
        _distinct("targets", [one.name for one in self.targets])
        self._known("crossed", self.crossed, [one.name for one in self.pretrainings])
        self._known("perturbed_on", self.perturbed_on, [one.name for one in self.targets])
        for target in self.targets:
            if target.recipe.backbone != self.backbone or target.recipe.width != 1:
                raise ValueError(f"{target.name} has another network than {self.backbone}")
        for level in self.perturbed:
            if level not in self.levels[1:]:
                raise ValueError(f"level {level} is perturbed, but is none of {self.levels[1:]}")
            if self.pruning.density(level) > 0.5 and "complement" in self._hows():
                raise ValueError(f"at level {level} the complement has too few weights")
        return self

    def _hows(self) -> set[str]:
        return {variant.how for variant in self.variants}

    @staticmethod
    def _known(field: str, given: list[str], known: list[str]) -> None:
        strange = sorted(set(given) - set(known))
        if strange:
            raise ValueError(f"{field} names {strange[0]}, which is none of {', '.join(known)}")

    def target(self, name: str) -> Target:
        """Return a target by its name."""
        return next(target for target in self.targets if target.name == name)

    def own(self, target: Target) -> bool:
        """Say whether a target's images are of the study's own base."""
        return target.base in (None, self.base)


def _distinct(what: str, names: list[str]) -> None:
    if len(set(names)) < len(names):
        raise ValueError(f"two {what} have one name")
