"""The plan of a PrAC study: lottery tickets found with fewer samples (Zhang et al. 2021)."""

from typing import Literal, Self

from pydantic import Field, model_validator

from lotterybench.records import Record, Slug
from lotterybench.studies.base import Pruning, Recipe, Study

Data = Literal["full", "prac", "random", "el2n", "forgetting", "final-set", "set-by-set"]


class Arm(Record):
    """One way to find a ticket: what each round trains on, and for how long.

    `data` is all samples (`full`), the PrAC sets of the arm's own rounds, as many at `random` or
    of the highest `el2n` or `forgetting` of its first round as `follows` had in each round, or the
    sets of `follows` themselves: its last one in every round (`final-set`), or each in its round
    (`set-by-set`). `stops` ends a round once its mask has settled; `matched`
    ends its schedule after the iterations that `follows` took in that round.

    For PrAC: `parts` says which samples the sets keep (hard to memorise, forgotten by pruning,
    both), `pair` which network is compared with the first round's (retrained at the round's
    sparsity, or just pruned), `scaling` whether a smaller set also has fewer epochs, `threshold`
    how often a sample is forgotten before it counts, `settled` the mask distance that ends rounds.
    """

    name: Slug
    data: Data
    recipe: str = "main"
    stops: bool = False
    follows: str | None = None
    matched: bool = False
    parts: Literal["both", "cet", "cep"] = "both"
    pair: Literal["retrained", "just-pruned"] = "retrained"
    scaling: Literal["epochs-and-data", "data-only"] = "epochs-and-data"
    threshold: int = Field(default=0, ge=0)
    settled: float = Field(default=0.08, gt=0)

    @model_validator(mode="after")
    def _holds(self) -> Self:
        if (self.follows is None) != (self.data in ("full", "prac") and not self.matched):
            raise ValueError(f"{self.name}: an arm follows another if its sets or its length do")
        if self.matched and self.stops:
            raise ValueError(f"{self.name}: a matched length does not stop early as well")
        return self


class Claim(Record):
    """A published figure that a study is to meet, committed before the run (protocol §11).

    `what` is the share of the training samples in the set that the main PrAC arm leaves after the
    round of `level`, or the part of IMP's steps that it saves until the masks of `level`, both in
    per cent, as is the `tolerance`.
    """

    what: Literal["set-share", "steps-saved"]
    level: int = Field(ge=0)
    published: float
    tolerance: float = Field(gt=0)
    source: str


class TicketStudy(Study):
    """PrAC against iterative magnitude pruning on all samples, and on as many of other kinds.

    `recipes` are the architectures by name, `main` the first. `validation` is the part of the
    training split that is held out, at random and the same for all arms. `evaluated` are the levels
    whose tickets are trained on all samples. `baselines` are pruned once, before training.
    `patience` is the number of settled epochs that ends a round. `at` is the level that savings
    are quoted at, by non-inferiority within `margin` points. `claims` are published figures.
    """

    kind: Literal["tickets"]
    recipes: dict[str, Recipe]
    pruning: Pruning
    arms: list[Arm] = Field(min_length=1)
    baselines: list[Literal["random", "magnitude", "snip", "grasp", "synflow"]] = []
    controls: list[Literal["reinitialised", "permuted"]] = []
    evaluated: list[int]
    at: int
    validation: float = Field(default=0.1, gt=0, lt=1)
    split: Literal["random", "last"] = "random"
    patience: int = Field(default=5, ge=1)
    margin: float = 0.5
    claims: list[Claim] = []

    @model_validator(mode="after")
    def _holds(self) -> Self:
        names = [arm.name for arm in self.arms]
        if len(set(names)) < len(names):
            raise ValueError("two arms have one name")
        if "main" not in self.recipes:
            raise ValueError("one recipe is named main")
        for place, arm in enumerate(self.arms):
            if arm.recipe not in self.recipes:
                raise ValueError(f"{arm.name} is of the recipe {arm.recipe}, which is not there")
            if arm.follows is not None and arm.follows not in names[:place]:
                raise ValueError(f"{arm.name} follows {arm.follows}, which no earlier arm is")
        levels = range(self.pruning.rounds + 1)
        if not set(self.evaluated) <= set(levels) or self.at not in self.evaluated:
            raise ValueError(f"levels are 0 to {self.pruning.rounds}, `at` one that is evaluated")
        return self

    def arm(self, name: str) -> Arm:
        """Return an arm by its name."""
        return next(arm for arm in self.arms if arm.name == name)
