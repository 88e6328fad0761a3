"""The plan of a transfer study: one ticket for many data sets (One Ticket; Morcos et al. 2019)."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from lotterybench.records import Record, Slug
from lotterybench.studies.base import Pruning, Recipe, Study

Control = Literal["reinitialised", "permuted", "shuffled", "random", "dense", "small"]
CONTROLS: tuple[Control, ...] = (
    "random", "permuted", "shuffled", "reinitialised", "dense", "small",
)  # fmt: skip


class Domain(Record):
    """A part of a base with its labels: where tickets are found, and where they are trained.

    `part` A and B are every other training sample of each class in keyring order; of what is left
    come the first `each` of a class. `classes` (default: all) are named and numbered in that
    order. Labels are the class, its `parity` in the base, or the classes `shuffled` over the
    training samples by `shuffle`, which teach nothing of the test images. Those are all test
    images of the classes.
    """

    name: Slug
    base: Slug
    part: Literal["all", "A", "B"] = "all"
    each: int | None = Field(default=None, ge=1)
    classes: tuple[str, ...] | None = Field(default=None, min_length=2)
    labels: Literal["class", "parity", "shuffled"] = "class"
    shuffle: int = 0

    @model_validator(mode="after")
    def _holds(self) -> Self:
        if self.classes is not None and len(set(self.classes)) < len(self.classes):
            raise ValueError(f"{self.name}: a class is named twice")
        if self.shuffle and self.labels != "shuffled":
            raise ValueError(f"{self.name}: labels that are not shuffled have no seed for it")
        return self


class Source(Record):
    """One way to find a ticket: on a domain, for how long, and pruned over all tensors or in each.

    `updates_of` names a domain: epochs and rewinding point are scaled to as many updates as its
    recipe has there (protocol §10: equal updates). Without it, epochs are the recipe's.
    """

    domain: Slug
    updates_of: Slug | None = None
    in_each: bool = False

    @property
    def name(self) -> str:
        """What findings call the source: the domain, and how it departs from the plain way."""
        updates = f"-updates-of-{self.updates_of}" if self.updates_of else ""
        return f"{self.domain}{updates}{'-layerwise' if self.in_each else ''}"

    @property
    def plain(self) -> bool:
        """Whether it is pruned globally, for the recipe's own epochs."""
        return not self.in_each and self.updates_of is None


class Cell(Record):
    """A ticket and where it is trained: found with one optimiser, trained `by` another."""

    source: Source
    target: Slug
    found: str
    by: str


class TransferStudy(Study):
    """Tickets found on sources and trained on targets, with the target's native ticket.

    `recipes` are one network's by optimiser: a plain source's ticket found with any is trained by
    any, others' by their own. Sources that are pruned in each tensor are trained on targets with a
    native ticket of the same kind. `levels` are those whose tickets are trained.
    `pruning.in_each` stays off: sources say it.
    """

    kind: Literal["transfer"]
    domains: list[Domain] = Field(min_length=1)
    recipes: dict[str, Recipe] = Field(min_length=1)
    pruning: Pruning
    levels: list[int] = Field(min_length=1)
    sources: list[Source] = Field(min_length=1)
    targets: list[Slug] = Field(min_length=1)
    controls: list[Control] = list(CONTROLS)

    @model_validator(mode="after")
    def _holds(self) -> Self:
        for what, names in (
            ("domains", [domain.name for domain in self.domains]),
            ("sources", [source.name for source in self.sources]),
            ("targets", self.targets),
            ("controls", self.controls),
            ("levels", self.levels),
        ):
            if len(set(names)) < len(names):
                raise ValueError(f"two {what} are one: {names}")
        if "random" not in self.controls:
            raise ValueError("random masks are always among the controls (protocol §10)")
        self._check_names()
        self._check_recipes()
        if self.levels != sorted(self.levels) or not 0 <= self.levels[0] <= self.levels[-1]:
            raise ValueError(f"levels {self.levels} do not rise from 0 or more")
        if self.levels[-1] > self.pruning.rounds:
            raise ValueError(f"level {self.levels[-1]} is beyond {self.pruning.rounds} rounds")
        return self

    def _check_names(self) -> None:
        known = {domain.name: domain for domain in self.domains}
        named = [(source.domain, "a source") for source in self.sources]
        named += [(s.updates_of, "a number of updates") for s in self.sources if s.updates_of]
        named += [(target, "a target") for target in self.targets]
        for name, role in named:
            if name not in known:
                raise ValueError(f"{role} is of the domain {name}, which is not there")
        for target in self.targets:
            if known[target].labels == "shuffled":
                raise ValueError(f"{target}: shuffled labels are no target, only a source")
            if self.native(target, in_each=False) is None:
                raise ValueError(
                    f"{target} is a target and no source: no native ticket (protocol §10)"
                )

    def _check_recipes(self) -> None:
        nets = {(recipe.backbone, recipe.width) for recipe in self.recipes.values()}
        if len(nets) > 1:
            raise ValueError(f"optimisers share one network, not {sorted(nets)}")
        short = min(recipe.epochs for recipe in self.recipes.values())
        if self.pruning.rewind >= short:
            raise ValueError(f"{short} epochs end before the rewinding to {self.pruning.rewind}")
        if self.pruning.in_each:
            raise ValueError("sources say whether they are pruned in each tensor, not `pruning`")

    def domain(self, name: str) -> Domain:
        """Return a domain by its name."""
        return next(domain for domain in self.domains if domain.name == name)

    def native(self, target: str, *, in_each: bool) -> Source | None:
        """Return the source of a target's native ticket of one way of pruning, if it is there."""
        wanted = Source(domain=target, in_each=in_each)
        return wanted if wanted in self.sources else None

    def cells(self) -> list[Cell]:
        """Return what is trained at every level and seed: the whole matrix, with native tickets."""
        return [
            Cell(source=source, target=target, found=found, by=by)
            for target in self.targets
            for by in self.recipes
            for source in self.sources
            if self.native(target, in_each=source.in_each)
            for found in self.recipes
            if found == by or source.plain
        ]

    def fields_of(self, domain: str) -> dict[str, Any]:
        """Return a domain's fields as JSON."""
        return self.domain(domain).fields()
