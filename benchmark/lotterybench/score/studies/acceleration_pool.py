"""Who is ranked in a study of accelerated training, and their seed scores (protocol §1, §6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from lotterybench.methods import method as methods
from lotterybench.methods.base.families import family_of
from lotterybench.ranking.base.arrays import Floats, Ints
from lotterybench.score.pool import ENOUGH
from lotterybench.score.studies.acceleration_scores import BySeed, Cell, Scores, cell_of
from lotterybench.studies import Finding
from lotterybench.studies.acceleration import FORMS, AccelerationStudy, Arm, Compared, Training

LEAST_RANK = 5.0  # effective rank of features, below which they have collapsed (protocol §1)


class Place(NamedTuple):
    """An arm with a prior (None: without) at a budget: what ranks methods."""

    arm: Arm
    prior: str | None
    budget: float


class Pool:
    """A study's configurations: their linear accuracy by arm and seed, and who may be ranked.

    A training that failed scores −inf; one that the machine refused (`infra`) waits for its score.
    `unfit` are configurations that are never ranked and `related` those whose family trained a
    prior, each with the reason.
    """

    def __init__(self, scores: Scores, findings: Sequence[Finding]) -> None:
        self.scores, self.study = scores, scores.study
        self.full = Place("base-full", None, self.study.primary)
        self.held: dict[Place, dict[str, dict[int, float]]] = {}
        for one in findings:
            if one.stage == "accelerated" and one.status != "infra":
                cell = cell_of(one)
                by_seed = self.held.setdefault(place_of(cell), {}).setdefault(cell.method, {})
                by_seed[one.seed] = one.metrics["linear"] if one.status == "ok" else -np.inf
        self.families = {one.name: _family(one.training) for one in self.study.methods}
        self.unfit = self._unfit()
        self.related = {
            name: f"family {family} trained the prior {prior} (protocol §6)"
            for name, family in self.families.items()
            if name not in self.unfit and (prior := _trained_by(self.study).get(family))
        }

    def having(self, place: Place, *, related: bool = False) -> list[str]:
        """Return the configurations that have an arm and may be ranked, in the study's order."""
        out = self.unfit.keys() | (set() if related else self.related.keys())
        return [name for name in self.families if name in self.held[place] and name not in out]

    def values(self, place: Place, names: Sequence[str]) -> Floats:
        """Return seed scores (n, seeds) in per cent, of the seeds that all configurations have.

        On full data a failure is NaN, for membership is decided already; else it is −inf and
        ranks last (protocol §1).
        """
        by_name = [self.held[place][name] for name in names]
        seeds = sorted(set[int].intersection(*(set(held) for held in by_name)))
        found = np.array([[held[seed] for seed in seeds] for held in by_name], np.float64)
        return np.where(np.isinf(found), np.nan, found) if place == self.full else found

    def groups(self, names: Sequence[str]) -> Ints:
        """Return each configuration's family (n,), numbered from 0."""
        known = sorted({self.families[name] for name in names})
        return np.array([known.index(self.families[name]) for name in names], np.int64)

    def missing(self, place: Place, names: Sequence[str]) -> int:
        """Return how many planned trainings of an arm have no status yet."""
        return sum(self.study.seeds - len(self.held[place][name]) for name in names)

    def cells(self, place: Place) -> list[Cell]:
        """Return the arm's cells with a training that ended well, of all configurations."""
        return [cell for cell in self.scores.cells if place_of(cell) == place]

    def cost(self, place: Place) -> float | None:
        """Return what an arm's trainings cost over those on full data; None if none ended well.

        The prior of its targets is paid for once in full, or once for each seed where each has its
        own: what is spent on choosing is spread over the pool's runs, as in protocol §5.
        """
        own = whole = 0.0
        for cell in self.cells(place):
            runs, full = len(self.scores.cells[cell]), self.scores.whole(cell)
            if full is not None:
                own, whole = own + runs * self.scores.passes(cell), whole + runs * full
        if not whole:
            return None
        if place.prior is not None and FORMS[place.arm].targets != "none":
            seeds = {seed for cell in self.cells(place) for seed in self.scores.cells[cell]}
            priors = 1 if self.study.prior_seeds == "one" else len(seeds)
            own += priors * self.scores.passes_of_prior(place.prior)
        return own / whole

    def _unfit(self) -> dict[str, str]:
        found = {}
        for one in self.study.methods:
            reason = _no_peer(one.training.method) or self._failing(one)
            if reason:
                found[one.name] = f"{reason} (protocol §1)"
        return found

    def _failing(self, method: Compared) -> str | None:
        """Say why a configuration is no member of the pool, from full data alone."""
        planned = self.held.get(self.full, {}).get(method.name, {})
        cell = self.scores.of(method, "base-full")
        good = {} if cell is None else self.scores.cells[cell]
        if not good or len(good) < ENOUGH * len(planned):
            return f"failed on full data ({len(good)} of {len(planned)} seeds ended well)"
        if _mean(good, "effective_rank", LEAST_RANK) < LEAST_RANK:
            return "collapsed on full data"
        floor, reached = _floor(self.scores, method.training.backbone), _mean(good, "knn")
        if floor is not None and reached <= floor:
            return f"no better than random weights on full data (k-NN {reached:.1f} %)"
        return None


def place_of(cell: Cell) -> Place:
    """Return where a cell stands, whichever its method and epochs."""
    return Place(cell.arm, cell.prior, cell.budget)


def _family(training: Training) -> str:
    return family_of(training.method, training.backbone)


def _trained_by(study: AccelerationStudy) -> Mapping[str, str]:
    """Return the families that trained a prior, with its name."""
    return {_family(one.training): one.name for one in study.priors if one.training is not None}


def _no_peer(name: str) -> str | None:
    """Say why a method is not ranked among self-supervised ones by a probe."""
    facts = methods.facts(name)
    if facts.get("labels"):
        return "it reads labels"
    masked = facts.get("objective") == "masked"
    return "masked autoencoders are ranked where the encoder is fine-tuned" if masked else None


def _floor(scores: Scores, backbone: str) -> float | None:
    """Return the k-NN of a backbone's random weights plus two standard errors.

    One network has no standard error, and counts as it is; None if there is none.
    """
    random = [one.name for one in scores.study.priors if one.backbone == backbone]
    values = [one.metrics["knn"] for name in random for one in scores.priors.get(name, {}).values()]
    if not values:
        return None
    error = float(np.std(values, ddof=1)) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return float(np.mean(values)) + 2 * error


def _mean(by_seed: BySeed, metric: str, missing: float = 0.0) -> float:
    return float(np.mean([one.metrics.get(metric, missing) for one in by_seed.values()]))
