"""All stages of a PrAC study, in an order in which needs come first."""

from __future__ import annotations

from typing import Any

from lotterybench.kinds.stages import Stage
from lotterybench.records import Base
from lotterybench.studies.tickets import Arm, TicketStudy


def stages_of(study: TicketStudy, base: Base, seeds: int | None = None) -> list[Stage]:
    """Return a study's stages: every arm's rounds, the tickets they give, and what is beside.

    Level by level and not arm by arm, so that what others wait for comes first.
    """
    found: list[Stage] = []
    every = [_rounds(study, base, seed) for seed in range(seeds or study.seeds)]
    for seed, rounds in enumerate(every):
        found += rounds.values()
        found += _tickets(study, base, seed, rounds)
        found += _baselines(study, base, seed)
    return found + _overlaps(study, base, every)


Rounds = dict[tuple[str, int], Stage]


def _rounds(study: TicketStudy, base: Base, seed: int) -> Rounds:
    rounds: Rounds = {}
    for arm in study.arms:
        for level in range(study.pruning.rounds):
            rounds[arm.name, level] = Stage(
                "round",
                arm.name,
                seed,
                _settings(study, base, arm.recipe)
                | {
                    "arm": arm.fields(),
                    "level": level,
                    "patience": study.patience,
                },
                _needs(study, arm, level, rounds),
                {"recipe": arm.recipe, "level": level},
                _images(study, base, arm.recipe),
            )
    return rounds


def _needs(study: TicketStudy, arm: Arm, level: int, rounds: Rounds) -> dict[str, Stage]:
    """Return what a round reads: its chain, and the rounds of the arm that it follows."""
    needs = {}
    if level:
        needs = {"before": rounds[arm.name, level - 1], "first": rounds[arm.name, 0]}
    if arm.follows is None:
        return needs
    if arm.data == "final-set":
        needs["set"] = rounds[arm.follows, study.pruning.rounds - 1]
    elif arm.data == "set-by-set" and level:
        needs["set"] = rounds[arm.follows, level - 1]
    if arm.matched or (level and arm.data in ("random", "el2n", "forgetting")):
        needs["follows"] = rounds[arm.follows, level]
    return needs


def _tickets(study: TicketStudy, base: Base, seed: int, rounds: Rounds) -> list[Stage]:
    """Return the tickets of the evaluated levels; controls are of arms on all samples and PrAC."""
    found = []
    for arm in study.arms:
        for level in study.evaluated:
            if level == 0:
                continue
            plain = arm.recipe == "main" and arm == _first(study, arm.data)
            controls = study.controls if plain and arm.data in ("full", "prac") else []
            for control in ("", *controls):
                of: dict[str, Any] = {"recipe": arm.recipe, "level": level}
                found.append(
                    Stage(
                        "ticket",
                        arm.name,
                        seed,
                        _settings(study, base, arm.recipe) | {"control": control},
                        {"round": rounds[arm.name, level - 1]},
                        of | ({"control": control} if control else {}),
                        _images(study, base, arm.recipe),
                    )
                )
    return found


def _first(study: TicketStudy, data: str) -> Arm:
    return next(arm for arm in study.arms if arm.data == data)


def _baselines(study: TicketStudy, base: Base, seed: int) -> list[Stage]:
    """Return networks pruned before training, and the dense one of every recipe."""
    wanted: list[tuple[str, str, int]] = [("dense", name, 0) for name in study.recipes]
    wanted += [
        (how, "main", level) for how in study.baselines for level in study.evaluated if level
    ]
    return [
        Stage(
            "baseline",
            how,
            seed,
            _settings(study, base, recipe) | {"baseline": how, "level": level},
            {},
            {"recipe": recipe, "level": level},
            _images(study, base, recipe),
        )
        for how, recipe, level in wanted
    ]


def _overlaps(study: TicketStudy, base: Base, every: list[Rounds]) -> list[Stage]:
    """Return comparisons of sets after the first and last round: of seeds, and architectures.

    And of each with as many samples that the forgetting arm of its seed forgot most often.
    """
    settings = _settings(study, base, "main")
    own = {arm.recipe: arm.name for arm in reversed(study.arms) if arm.data == "prac"}
    forgetting = next((arm.name for arm in study.arms if arm.data == "forgetting"), None)
    found = []
    for level in sorted({0, study.pruning.rounds - 1}):
        for seed, rounds in enumerate(every):
            for recipe, name in own.items():
                first = rounds[name, level]
                others = {
                    f"seed {other}": {"second": every[other][name, level]}
                    for other in range(seed + 1, len(every))
                }
                if recipe == "main":
                    others |= {
                        architecture: {"second": rounds[arm, level]}
                        for architecture, arm in own.items()
                        if architecture != "main"
                    }
                    if forgetting:
                        others["forgetting"] = {"scores": rounds[forgetting, 0]}
                found += [
                    Stage(
                        "set-overlap",
                        name,
                        seed,
                        settings,
                        {"first": first, **needs},
                        {"recipe": recipe, "level": level + 1, "with": other},
                    )
                    for other, needs in others.items()
                ]
    return found


def _settings(study: TicketStudy, base: Base, recipe: str) -> dict[str, Any]:
    """Return what every stage depends on."""
    return {
        "base": base.id,
        "base_digest": base.digest,
        "resolution": study.resolution,
        "validation": study.validation,
        "split": study.split,
        "recipe": study.recipes[recipe].fields(),
        "pruning": study.pruning.fields(),
    }


def _images(study: TicketStudy, base: Base, recipe: str) -> int:
    """Return the images of a training on all samples: smaller sets and early ends train on less."""
    rows = base.splits["train"].rows
    return study.recipes[recipe].epochs * (rows - round(study.validation * rows))
