"""All stages of a study of accelerated training, in an order in which needs come first."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from lotterybench.errors import BadRequest
from lotterybench.kinds.acceleration.costs import lengths, samples_at
from lotterybench.kinds.acceleration.teaching import check
from lotterybench.kinds.stages import Stage
from lotterybench.kinds.transfer.samples import count_of
from lotterybench.manifests import find_base
from lotterybench.methods.base.families import family_of
from lotterybench.records import Base, sha256_of
from lotterybench.studies.acceleration import (
    FORMS,
    SWEPT,
    AccelerationStudy,
    Arm,
    Compared,
    Source,
    Training,
)
from lotterybench.studies.transfer import Domain
from lotterybench.trials import LARGEST_FAMILY, Setting


def stages_of(study: AccelerationStudy, base: Base, seeds: int | None = None) -> list[Stage]:
    """Return a study's stages: priors and their targets, rates, maps, and every arm.

    Models whose weights must be at hand come first. Raises `BadRequest` for a prior's base whose
    images have another shape than the study's, for a method's settings that it does not have, and
    for families that are too large to be ranked.
    """
    for training in (*(one.training for one in study.priors), *(m.training for m in study.methods)):
        if training is not None:
            check(training)
    for source in study.priors:
        _check_shape(source, base)
    if study.asks == "ranking":
        _check_families(study)
    plan = Plan(study, base)
    for source in sorted(study.priors, key=lambda one: one.how != "model"):
        plan.prior(source, 0)
    plan.tune()
    for seed in range(seeds or study.seeds):
        plan.compare_priors(seed)
        for method in study.methods:
            plan.train(method, seed)
    return list(plan.stages.values())


def samples_seed(study: AccelerationStudy, seed: int) -> str:
    """Return what the drawn samples of a replicate hang on: all of its arms are shown the same.

    All other noise is of a stage alone.
    """
    named = [study.name, study.version, study.domain.fields(), seed]
    return sha256_of(["acceleration samples", *named])


def _check_families(study: AccelerationStudy) -> None:
    trained = (one.training for one in study.methods)
    for family, count in Counter(family_of(t.method, t.backbone) for t in trained).items():
        if count > LARGEST_FAMILY:
            raise BadRequest(
                f"the family {family} has {count} configurations; {LARGEST_FAMILY} may be ranked "
                "(protocol §1)"
            )


def _check_shape(source: Source, base: Base) -> None:
    if source.domain is None:
        return
    other, _ = find_base(source.domain.base)
    if (other.size, other.mode) != (base.size, base.mode):
        raise BadRequest(
            f"the prior {source.name} is of {other.id}, whose images are {other.mode} "
            f"{other.size}; those of {base.id} are {base.mode} {base.size}"
        )


@dataclass
class Plan:
    """The stages so far, by their keys, in the order in which they were planned."""

    study: AccelerationStudy
    base: Base
    stages: dict[str, Stage] = field(default_factory=dict)

    def prior(self, source: Source, seed: int) -> Stage:
        """Plan a prior: one for all seeds, or each seed's own."""
        seed = seed if self.study.prior_seeds == "each" else 0
        settings = self._on(self.study.domain) | {"prior": source.fields()}
        images = 0
        if source.training is not None and source.domain is not None:
            settings |= {"trained": self._on(source.domain), **_taught(source.training)}
            images = source.training.epochs * count_of(source.domain)
        return self._add("prior", source.name, seed, settings, {}, {}, images)

    def targets(self, source: Source, backbone: str, seed: int) -> Stage:
        """Plan a prior's targets for students of a backbone."""
        prior = self.prior(source, seed)
        settings = self._on(self.study.domain) | {
            "prior": source.fields(), "student": backbone,
        }  # fmt: skip
        return self._add(
            "prior-targets", source.name, prior.seed, settings, {"prior": prior},
            {"student": backbone},
        )  # fmt: skip

    def compare_priors(self, seed: int) -> None:
        """Plan the linear maps between the representations of every pair of priors."""
        for first, second in combinations(self.study.priors, 2):
            one, other = self.prior(first, seed), self.prior(second, seed)
            settings = self._on(self.study.domain) | {
                "first": first.fields(), "second": second.fields(),
            }  # fmt: skip
            self._add(
                "linear-map", "priors", one.seed, settings, {"first": one, "second": other},
                {"first": first.name, "second": second.name},
            )  # fmt: skip

    def tune(self) -> None:
        """Plan the trials of learning rates, which share no noise with what is scored."""
        for method in self.study.methods:
            self.rate(method)

    def rate(self, method: Compared) -> Stage | None:
        """Plan a method's trials and the choice of the best; None for a rate that is given."""
        if not method.rates:
            return None
        common = self._on(self.study.domain) | _taught(method.training)
        common |= {"budget": self.study.primary, "draws": samples_seed(self.study, -1)}
        count = samples_at(count_of(self.study.domain), "redrawn", self.study.primary)
        trials = {
            f"trial-{number}": self._add(
                "tuning", "tuning", 0, common | {"lr": lr}, {}, {"method": method.name, "lr": lr},
                method.training.epochs * count,
            )
            for number, lr in enumerate(method.rates)
        }  # fmt: skip
        return self._add("rate", "tuning", 0, {}, trials, {"method": method.name})

    def train(self, method: Compared, seed: int) -> None:
        """Plan a method's arms at the primary budget, and those of every budget."""
        for budget in self.study.budgets:
            for arm in method.arms if budget == self.study.primary else SWEPT:
                priors: list[str | None] = [None]
                if FORMS[arm].targets != "none":
                    priors = [*method.priors] if arm == "rela-redrawn" else [method.main]
                for prior in priors:
                    self._arm(method, arm, prior, budget, seed)

    def _arm(self, method: Compared, arm: Arm, prior: str | None, budget: float, seed: int) -> None:
        study, form = self.study, FORMS[arm]
        common = self._on(study.domain) | _taught(method.training)
        common |= {
            "arm": arm, "budget": budget, "share": study.share, "looks": study.looks,
            "bank": study.bank, "queries": study.queries, "draws": samples_seed(study, seed),
        }  # fmt: skip
        needs: dict[str, Stage] = {}
        rate = self.rate(method)
        if rate is not None:
            needs["rate"] = rate
        if prior is not None:
            needs["targets"] = self.targets(study.prior(prior), method.training.backbone, seed)
        count = samples_at(count_of(study.domain), form.data, budget)
        for epochs, of_prior in lengths(study, method, form, budget).items():
            of: dict[str, Setting] = {"method": method.name, "budget": budget, "epochs": epochs}
            named = prior or of_prior
            if named is not None:
                of["prior"] = named
            settings = common | {"epochs": epochs}
            self._add("accelerated", arm, seed, settings, needs, of, epochs * count)

    def _on(self, domain: Domain) -> dict[str, Any]:
        """Return the data of a stage."""
        base = find_base(domain.base)[0]
        return {
            "domain": domain.fields(), "base": base.id, "base_digest": base.digest,
            "resolution": self.study.resolution,
        }  # fmt: skip

    def _add(
        self, does: str, arm: str, seed: int, settings: dict[str, Any], needs: dict[str, Stage],
        of: dict[str, Setting], images: int = 0,
    ) -> Stage:  # fmt: skip
        """Plan a stage unless it is planned; return the planned one."""
        stage = Stage(does, arm, seed, settings, needs, of, images)
        return self.stages.setdefault(stage.key, stage)


def _taught(training: Training) -> dict[str, Any]:
    """Return how a stage trains; what its pace hangs on is apart, as the recipe."""
    fields = training.fields()
    return {"epochs": fields.pop("epochs"), "lr": fields.pop("lr"), "recipe": fields}
