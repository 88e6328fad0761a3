"""All stages of a study of pre-trained tickets, in an order in which needs come first."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from lotterybench.kinds.pretrained.counting import images_of_stage
from lotterybench.kinds.stages import Stage
from lotterybench.manifests import find_base
from lotterybench.records import Base, sha256_of
from lotterybench.studies.pretrained import (
    PRETASK,
    WHOLE,
    Canvases,
    PretrainedStudy,
    Pretraining,
    Target,
    Variant,
)
from lotterybench.trials import Setting

Needs = dict[str, Stage]


def stages_of(study: PretrainedStudy, base: Base, seeds: int | None = None) -> list[Stage]:
    """Return a study's stages: weights, masks found on them, and what is trained under masks.

    Dense networks have seeds of their own, after those of tickets.
    """
    plan = Plan(study, base)
    count = seeds or study.seeds
    for seed in range(count):
        plan.find(seed)
    for seed in range(count):
        plan.compare(seed)
        plan.train(seed)
    for seed in range(study.dense):
        plan.leave_dense(max(count, study.seeds), seed)
    return list(plan.stages.values())


@dataclass
class Plan:
    """The stages so far by key, and the rounds by seed, initialisation and mask."""

    study: PretrainedStudy
    base: Base
    stages: dict[str, Stage] = field(default_factory=dict)
    rounds: dict[tuple[int, str, str], list[Stage]] = field(default_factory=dict)

    def find(self, seed: int) -> None:
        """Plan the rounds of every pre-training: on its own task, and on each target."""
        for how in self.study.pretrainings:
            if how.rounds is not None:
                self._find_before(how, seed)
            for target in self.study.targets:
                self._find_on(how, target, seed)

    def compare(self, seed: int) -> None:
        """Plan the overlaps of masks: on one initialisation, of pre-tasks, and with seed − 1."""
        before = [how.name for how in self.study.pretrainings if how.rounds]
        groups = {
            how.name: [(seed, how.name, mask) for mask in self._own(how)]
            for how in self.study.pretrainings
        }
        groups["pretasks"] = [(seed, name, PRETASK) for name in before]
        for level in self.study.levels[1:]:
            for name, held in groups.items():
                self._compare(name, seed, level, list(combinations(held, 2)))
            if seed:
                every = dict.fromkeys(of[1:] for held in groups.values() for of in held)
                pairs = [((seed - 1, *of), (seed, *of)) for of in every]
                self._compare("seeds", seed, level, pairs)

    def train(self, seed: int) -> None:
        """Plan the tickets of every mask at every level, and the variants of some."""
        study = self.study
        for how in study.pretrainings:
            for target in study.targets:
                self._ticket(how, WHOLE, target, 0, seed)
                for mask, found in self._sources(how, target):
                    for level in study.levels[1:]:
                        self._ticket(how, mask, target, level, seed, found)
                    if mask == PRETASK and target.name in study.perturbed_on:
                        for level in study.perturbed:
                            for variant in study.variants:
                                self._ticket(how, mask, target, level, seed, found, variant)

    def leave_dense(self, first: int, seed: int) -> None:
        """Plan the dense network of every initialisation and target, with a seed of its own."""
        for how in self.study.pretrainings:
            for target in self.study.targets:
                self._downstream(
                    "dense", how, target, first + seed, {}, {"mask": WHOLE, "level": 0}
                )

    def _sources(self, how: Pretraining, target: Target) -> list[tuple[str, tuple[str, str]]]:
        """Return the masks that are trained on a target, and the rounds that they are of."""
        found = []
        for mask in self._own(how):
            if mask in (PRETASK, target.name) or self.study.transfers:
                found.append((mask, (how.name, mask)))
        for other in self.study.pretrainings if how.name in self.study.crossed else []:
            if other.rounds is not None and other is not how:
                found.append((f"{PRETASK}-{other.name}", (other.name, PRETASK)))
        return found

    def _own(self, how: Pretraining) -> list[str]:
        return [PRETASK] * (how.rounds is not None) + [one.name for one in self.study.targets]

    def _find_before(self, how: Pretraining, seed: int) -> None:
        chain = self.rounds.setdefault((seed, how.name, PRETASK), [])
        settings = self._common(self.study.base) | {
            "pretraining": how.fields(), "backbone": self.study.backbone,
            "retrieved": self.study.retrieved,
        }  # fmt: skip
        heads = sha256_of(["heads", PRETASK, settings, seed])
        for level in range(self.study.pruning.rounds + 1):
            chain.append(
                self._add(
                    "pretask-round",
                    PRETASK,
                    seed,
                    settings | {"level": level, "heads": heads},
                    {"weights": self._weights(how, seed), **_masks(chain, level)},
                    {"init": how.name, "level": level},
                )
            )

    def _find_on(self, how: Pretraining, target: Target, seed: int) -> None:
        chain = self.rounds.setdefault((seed, how.name, target.name), [])
        settings = self._of(target)
        heads = sha256_of(["heads", how.name, settings, seed])
        for level in range(self.study.pruning.rounds):
            of: dict[str, Setting] = {"init": how.name, "target": target.name, "level": level}
            noise = sha256_of(["round", of, settings, seed])
            chain.append(
                self._add(
                    "downstream-round",
                    target.name,
                    seed,
                    settings | {"level": level, "heads": heads, "noise": noise},
                    self._needs(how, target, seed) | _masks(chain, level),
                    of,
                )
            )

    def _ticket(
        self, how: Pretraining, mask: str, target: Target, level: int, seed: int,
        found: tuple[str, str] | None = None, variant: Variant | None = None,
    ) -> None:  # fmt: skip
        needs = _masks(self.rounds[seed, *found], level) if found else {}
        of: dict[str, Setting] = {"mask": mask, "level": level}
        self._downstream("ticket", how, target, seed, needs, of, variant)

    def _downstream(
        self, arm: str, how: Pretraining, target: Target, seed: int, needs: Needs,
        of: dict[str, Setting], variant: Variant | None = None,
    ) -> None:  # fmt: skip
        """Plan one training; a variant has the noise of its ticket, and nothing else has."""
        of = {"init": how.name, "target": target.name, **of}
        settings = self._of(target)
        noise = sha256_of(["downstream", arm, of, settings, seed])
        settings |= {"heads": noise, "noise": noise}
        if variant is not None:
            arm, settings["variant"] = "perturbed", variant.fields()
            of |= {"variant": variant.name}
        self._add("downstream", arm, seed, settings, self._needs(how, target, seed) | needs, of)

    def _compare(
        self, group: str, seed: int, level: int,
        pairs: list[tuple[tuple[int, str, str], tuple[int, str, str]]],
    ) -> None:  # fmt: skip
        if not pairs:
            return
        named = [[_role(one, seed), _role(other, seed)] for one, other in pairs]
        needs = {_role(one, seed): self.rounds[one][level - 1] for pair in pairs for one in pair}
        settings = {"pairs": named}
        self._add("mask-overlap", group, seed, settings, needs, {"level": level})

    def _weights(self, how: Pretraining, seed: int) -> Stage:
        seed = seed if self.study.weights == "each" else 0
        settings = self._common(self.study.base) | {
            "pretraining": how.model_copy(update={"rounds": None}).fields(),
            "backbone": self.study.backbone, "retrieved": self.study.retrieved,
        }  # fmt: skip
        return self._add("pretraining", how.name, seed, settings, {}, {"init": how.name})

    def _needs(self, how: Pretraining, target: Target, seed: int) -> Needs:
        needs = {"weights": self._weights(how, seed)}
        if target.canvases is not None:
            needs["scenes"] = self._scenes(target, target.canvases)
        return needs

    def _scenes(self, target: Target, canvases: Canvases) -> Stage:
        settings = self._common(target.base or self.study.base) | {"canvases": canvases.fields()}
        del settings["pruning"], settings["resolution"]
        of: dict[str, Setting] = {"base": target.base or self.study.base}
        if canvases.source == "voc":
            settings["task"], of = target.task, {"task": target.task}
        return self._add("scenes", canvases.source, 0, settings, {}, of)

    def _of(self, target: Target) -> dict[str, Any]:
        """Return what a training on a target depends on."""
        return self._common(target.base or self.study.base) | {"target": target.fields()}

    def _common(self, name: str) -> dict[str, Any]:
        """Return what every stage that reads a base depends on.

        Other bases have no pre-training part: theirs goes to the other two.
        """
        study = self.study
        base = self.base if name == study.base else find_base(name)[0]
        bases = {study.base, *(one.base for one in study.targets if one.base)}
        shares = study.parts.model_dump()
        if name != study.base:
            del shares["pretraining"]
            shares = {part: share / sum(shares.values()) for part, share in shares.items()}
        others = {other: find_base(other)[0].digest for other in sorted(bases) if other != name}
        return {
            "base": name, "base_digest": base.digest, "resolution": study.resolution,
            "shares": shares, "others": others, "pruning": study.pruning.fields(),
        }  # fmt: skip

    def _add(
        self, does: str, arm: str, seed: int, settings: dict[str, Any], needs: Needs,
        of: dict[str, Setting],
    ) -> Stage:  # fmt: skip
        """Plan a stage unless it is planned; return the planned one."""
        stage = Stage(does, arm, seed, settings, needs, of, images_of_stage(does, settings))
        return self.stages.setdefault(stage.key, stage)


def _masks(chain: list[Stage], level: int) -> Needs:
    """Return the round that leaves the masks of a level: none before the first."""
    return {"masks": chain[level - 1]} if level else {}


def _role(of: tuple[int, str, str], seed: int) -> str:
    """Return what a mask is called among those that are compared."""
    before = "" if of[0] == seed else "@before"
    return f"{of[1]}/{of[2]}{before}"
