"""Accuracies of a study of accelerated training by cell and seed, and how two are compared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from lotterybench.ranking.base.arrays import Floats
from lotterybench.ranking.null import holm
from lotterybench.score.studies.figures import figure
from lotterybench.studies import Finding
from lotterybench.studies.acceleration import FORMS, AccelerationStudy, Arm, Compared
from lotterybench.studies.figures import Figure

TRAINED = 3.0  # forward passes that one of training costs


class Cell(NamedTuple):
    """What was trained: a method's arm with a prior (None: without) at a budget, and its epochs.

    Of the arm of equal cost, `prior` is the one whose cost it is of.
    """

    method: str
    arm: Arm
    prior: str | None
    budget: float
    epochs: int


class Compare(NamedTuple):
    """A mean difference in points, paired by seed, and its two-sided p by t (None below two)."""

    points: Figure
    p: float | None


BySeed = dict[int, Finding]


class Scores:
    """The trainings that ended well, by cell and seed, in the order in which they were planned."""

    def __init__(self, study: AccelerationStudy, findings: Sequence[Finding]) -> None:
        self.study = study
        self.cells: dict[Cell, BySeed] = {}
        self.priors: dict[str, BySeed] = {}
        self.targets: dict[str, BySeed] = {}
        for one in findings:
            if one.status != "ok":
                continue
            if one.stage == "accelerated":
                self.cells.setdefault(cell_of(one), {})[one.seed] = one
            elif one.stage == "prior":
                self.priors.setdefault(one.arm, {})[one.seed] = one
            elif one.stage == "prior-targets":
                self.targets.setdefault(one.arm, {})[one.seed] = one

    def of(self, method: Compared, arm: Arm, prior: str | None = None, budget: float | None = None
           ) -> Cell | None:  # fmt: skip
        """Return the cell of an arm that has one length, at the primary budget unless it is named.

        None if it was not trained.
        """
        wanted = (method.name, arm, prior, self.study.primary if budget is None else budget)
        return next((cell for cell in self.cells if cell[:4] == wanted), None)

    def full(self, cell: Cell) -> Cell | None:
        """Return the cell's method on full data, without targets; None for that itself."""
        found = self.of(self.study.method(cell.method), "base-full")
        return None if found == cell else found

    def same(self, cell: Cell) -> Cell | None:
        """Return the cell's method without targets on the same samples, redrawn or fixed.

        None for that itself, and for full data.
        """
        data = FORMS[cell.arm].data
        if data == "full" or cell.arm == f"base-{data}":
            return None
        arm: Arm = "base-redrawn" if data == "redrawn" else "base-fixed"
        return self.of(self.study.method(cell.method), arm, budget=cell.budget)

    def figure(self, cell: Cell, metric: str) -> Figure:
        """Return a metric's mean over seeds."""
        return figure([one.metrics[metric] for one in self.cells[cell].values()])

    def compare(self, first: Cell | None, second: Cell | None) -> Compare | None:
        """Return the first cell's linear accuracy less the second's; None without common seeds."""
        if first is None or second is None:
            return None
        own, other = self.cells[first], self.cells[second]
        seeds = sorted(own.keys() & other.keys())
        if not seeds:
            return None
        apart = np.array([own[n].metrics["linear"] - other[n].metrics["linear"] for n in seeds])
        return Compare(figure(apart), two_sided(apart))

    def whole(self, cell: Cell) -> float | None:
        """Return the forward passes of the method's training on full data, if it ended."""
        full = self.of(self.study.method(cell.method), "base-full")
        return None if full is None else self.passes(full)

    def passes(self, cell: Cell) -> float:
        """Return the forward passes of an image that a training costs, evaluation left out."""
        return TRAINED * float(np.mean([one.images for one in self.cells[cell].values()]))

    def passes_of_prior(self, prior: str) -> float:
        """Return those of a prior: the pass for its targets, and its training if it is ours."""
        held = [self.targets.get(prior, {}), self.priors.get(prior, {})]
        if not all(held):
            return 0.0
        looked, images = (
            float(np.mean([getattr(one, of) for one in by_seed.values()]))
            for of, by_seed in zip(("looked", "images"), held, strict=True)
        )
        return looked + TRAINED * images

    def equal_cost(self, cell: Cell) -> Cell | None:
        """Return the method on full data for as many epochs as the cell and its prior cost.

        Rounded to whole epochs, as they are planned (protocol §10). None for an arm without
        targets, and where no such training is planned.
        """
        full = self.full(cell)
        if full is None or cell.prior is None or FORMS[cell.arm].targets == "none":
            return None
        spent = self.passes(cell) + self.passes_of_prior(cell.prior)
        epochs = max(1, round(spent / (self.passes(full) / full.epochs)))
        return next(
            (
                one
                for one in self.cells
                if FORMS[one.arm].data == "full"
                and FORMS[one.arm].targets == "none"
                and (one.method, one.epochs) == (cell.method, epochs)
            ),
            None,
        )


def cell_of(one: Finding) -> Cell:
    """Return the cell that a finding of a training belongs to."""
    of, prior = one.of, one.of.get("prior")
    arm: Arm = one.arm  # type: ignore[assignment]
    return Cell(
        str(of["method"]), arm, None if prior is None else str(prior), float(of["budget"]),
        int(of["epochs"]),
    )  # fmt: skip


def two_sided(apart: Floats) -> float | None:
    """Return the p of paired differences (n,) being 0 on average, by Student's t.

    None for fewer than two; of equal differences it is 0, or 1 where all are 0.
    """
    n = len(apart)
    if n < 2:
        return None
    error = float(np.std(apart, ddof=1)) / n**0.5
    mean = float(np.mean(apart))
    if error == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * stats.t.sf(abs(mean) / error, n - 1))


def adjusted(found: Iterable[Compare | None]) -> list[float | None]:
    """Return p after Holm over those that have one, in their order."""
    p = [None if one is None else one.p for one in found]
    known = iter(holm([value for value in p if value is not None]))
    return [None if value is None else next(known) for value in p]
