"""The plan of a study of accelerated training: targets of a prior model (ReLA; Sun et al. 2024)."""

from __future__ import annotations

from typing import Literal, NamedTuple, Self

from pydantic import Field, model_validator

from lotterybench.records import Record, Slug
from lotterybench.studies.base import Study
from lotterybench.studies.transfer import Domain
from lotterybench.trials import Setting

Arm = Literal[
    "base-full", "base-shorter", "base-equal-cost", "base-redrawn", "base-fixed",
    "base-mild-views", "rela-redrawn", "rela-fixed", "rela-stage-1", "rela-shuffled", "rela-full",
    "rela-fixed-projection", "rela-adaptive",
]  # fmt: skip


class Form(NamedTuple):
    """What an arm is: its samples, its targets, when stage 1 ends, and for how long it trains.

    `mild` has the views of stage 1 without its loss. `shorter` is the budget's share of the
    epochs; `equal-cost` as many epochs as cost what an accelerated training and its prior cost,
    or its share of the prior in a study that ranks methods.
    """

    data: Literal["full", "redrawn", "fixed"]
    targets: Literal["none", "prior", "shuffled"] = "none"
    switch: Literal["share", "adaptive", "never"] = "share"
    mild: bool = False
    trained_projection: bool = True
    length: Literal["whole", "shorter", "equal-cost"] = "whole"


FORMS: dict[Arm, Form] = {
    "base-full": Form("full"),
    "base-shorter": Form("full", length="shorter"),
    "base-equal-cost": Form("full", length="equal-cost"),
    "base-redrawn": Form("redrawn"),
    "base-fixed": Form("fixed"),
    "base-mild-views": Form("redrawn", mild=True),
    "rela-redrawn": Form("redrawn", "prior"),
    "rela-fixed": Form("fixed", "prior"),
    "rela-stage-1": Form("redrawn", "prior", "never"),
    "rela-shuffled": Form("redrawn", "shuffled"),
    "rela-full": Form("full", "prior"),
    "rela-fixed-projection": Form("redrawn", "prior", trained_projection=False),
    "rela-adaptive": Form("redrawn", "prior", "adaptive"),
}
# What the protocol asks of a study's first method (§10); a random prior is asked for beside them.
REQUIRED: tuple[Arm, ...] = tuple(arm for arm in FORMS if arm != "rela-fixed-projection")
ESSENTIAL: tuple[Arm, ...] = ("base-full", "base-shorter", "base-redrawn", "rela-redrawn")
SWEPT: tuple[Arm, ...] = ("base-redrawn", "rela-redrawn")  # at every budget
FEWEST = 4  # configurations that are ranked


class Training(Record):
    """How a method trains: its backbone, length and rate.

    Without `optimiser` and `weight_decay` they are the backbone's own. The rate warms up and falls
    as half a cosine, or is `constant`. `views` is how many views of an image it trains on.
    """

    method: str
    backbone: str
    epochs: int = Field(ge=1)
    lr: float = Field(gt=0)
    batch: int = Field(default=128, ge=2)
    settings: dict[str, Setting] = {}
    optimiser: Literal["momentum", "sgd", "adam", "adamw"] | None = None
    weight_decay: float | None = Field(default=None, ge=0)
    constant: bool = False
    views: int = Field(default=2, ge=1)


class Source(Record):
    """A prior: a network with random weights, one that is trained here on a domain, or a model.

    A `random` one has a `backbone`, a `trained` one a `domain` and a `training`. A `model` is named
    as `methods.base.priors.find_prior` takes it; a study that names one stops where its weights
    are not at hand.
    """

    name: Slug
    how: Literal["random", "trained", "model"]
    backbone: str | None = None
    domain: Domain | None = None
    training: Training | None = None
    model: str | None = None

    @model_validator(mode="after")
    def _holds(self) -> Self:
        needed = {"random": ["backbone"], "trained": ["domain", "training"], "model": ["model"]}
        given = [
            name
            for name in ("backbone", "domain", "training", "model")
            if getattr(self, name) is not None
        ]
        if given != needed[self.how]:
            raise ValueError(
                f"the prior {self.name} is {self.how} and has {', '.join(given) or 'nothing'}; "
                f"it takes {' and '.join(needed[self.how])}"
            )
        return self


class Compared(Record):
    """A method with and without targets: which arms, with which priors, the main one first.

    `arms` are at the primary budget. Redrawn samples with and without targets are trained at every
    budget, with every one of `priors`, other arms with the main prior. `rates` are tried without
    targets at the primary budget, by k-NN on a tenth of the training images, which such a trial
    does not train on; the best is used by all arms. Without them the rate is `training.lr`.
    """

    name: Slug
    training: Training
    arms: list[Arm] = Field(min_length=1)
    priors: list[Slug] = Field(min_length=1)
    rates: list[float] = []

    @property
    def main(self) -> str:
        """The prior of all arms that have one."""
        return self.priors[0]

    @model_validator(mode="after")
    def _holds(self) -> Self:
        for what, listed in (("arms", self.arms), ("priors", self.priors), ("rates", self.rates)):
            if len(set(listed)) < len(listed):
                raise ValueError(f"{self.name}: two {what} are one: {listed}")
        _all_there(self.name, ESSENTIAL, self.arms)
        if any(rate <= 0 for rate in self.rates) or len(self.rates) == 1:
            raise ValueError(
                f"{self.name}: rates {self.rates} are none or at least two, all above 0; one rate "
                "is the training's own"
            )
        return self


class AccelerationStudy(Study):
    """Methods with the targets of priors on a share of the samples, and what must be ruled out.

    `domain` holds the samples. The first stage ends after `share` of the epochs, rounded down; the
    adaptive switch is an arm. `prior_seeds` says whether a prior is one for all seeds or each
    seed's own. Targets have the student's dimension, or fewer where the prior has. Over a training
    k-NN looks `looks` times at the first `bank` training and `queries` test images. What a study
    `asks` is whether methods gain, for which the first has every control, or whether arms rank
    methods as full data do, for which all have one main prior.
    """

    kind: Literal["acceleration"]
    asks: Literal["acceleration", "ranking"] = "acceleration"
    domain: Domain
    priors: list[Source] = Field(min_length=1)
    methods: list[Compared] = Field(min_length=1)
    budgets: list[float] = [0.1, 0.2, 0.5]
    primary: float = 0.5
    # Losses of .4 to .8 trip the adaptive switch after 1,480 to 2,578 steps: 8 to 13 % of the
    # paper's 19,500 on half of CIFAR-10. A short training needs more to come near its targets.
    share: float = Field(default=0.25, gt=0, lt=1)
    prior_seeds: Literal["one", "each"] = "one"
    looks: int = Field(default=6, ge=1)
    bank: int = Field(default=2000, ge=1)
    queries: int = Field(default=1000, ge=1)

    @model_validator(mode="after")
    def _holds(self) -> Self:
        if self.domain.base != self.base or self.domain.labels != "class":
            raise ValueError(f"the domain {self.domain.name} is of {self.base}'s own classes")
        if sorted(set(self.budgets)) != self.budgets or self.primary not in self.budgets:
            raise ValueError(f"budgets {self.budgets} rise, and {self.primary:g} is one of them")
        if not all(0 < budget < 1 for budget in self.budgets):
            raise ValueError(f"budgets {self.budgets} are shares between 0 and 1")
        known = [prior.name for prior in self.priors]
        for what, names in (("priors", known), ("methods", [one.name for one in self.methods])):
            if len(set(names)) < len(names):
                raise ValueError(f"two {what} have one name: {names}")
        for method in self.methods:
            self._check(method, known)
        if len({(one.training.line(), *one.rates) for one in self.methods}) < len(self.methods):
            raise ValueError("two methods are one: they are trained alike and differ in name alone")
        if self.asks == "ranking":
            self._check_ranking()
        else:
            self._check_controls()
        return self

    def _check_controls(self) -> None:
        first = self.methods[0]
        _all_there(first.name, REQUIRED, first.arms)
        if not any(self.prior(name).how == "random" for name in first.priors):
            raise ValueError(f"{first.name} has no prior with random weights (protocol §10)")

    def _check_ranking(self) -> None:
        if len(self.methods) < FEWEST:
            raise ValueError(f"a ranking takes at least {FEWEST} methods, not {len(self.methods)}")
        mains = sorted({method.main for method in self.methods})
        if len(mains) > 1:
            raise ValueError(f"methods of a ranking have one main prior, not {', '.join(mains)}")

    def _check(self, method: Compared, known: list[str]) -> None:
        strange = [name for name in method.priors if name not in known]
        if strange:
            raise ValueError(
                f"{method.name} names the prior {strange[0]}, which is none of {', '.join(known)}"
            )
        if self.prior(method.main).how == "random":
            raise ValueError(
                f"{method.name} has {method.main} as its main prior; one with random weights is a "
                "control (protocol §10)"
            )
        if int(self.share * method.training.epochs) < 1:
            raise ValueError(
                f"{method.name}: {self.share:g} of {method.training.epochs} epochs is no epoch of "
                "stage 1"
            )

    def prior(self, name: str) -> Source:
        """Return a prior by its name."""
        return next(prior for prior in self.priors if prior.name == name)

    def method(self, name: str) -> Compared:
        """Return a method by its name."""
        return next(method for method in self.methods if method.name == name)


def _all_there(name: str, wanted: tuple[Arm, ...], arms: list[Arm]) -> None:
    missing = [arm for arm in wanted if arm not in arms]
    if missing:
        raise ValueError(f"{name} lacks the arms {', '.join(missing)} (protocol §10)")
