"""All stages of a transfer study, in an order in which needs come first."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from lotterybench.errors import BadRequest
from lotterybench.kinds.stages import Stage
from lotterybench.kinds.transfer.samples import count_of
from lotterybench.manifests import find_base
from lotterybench.methods.base.data import batch_sizes
from lotterybench.records import Base, sha256_of
from lotterybench.studies import Pruning, Recipe
from lotterybench.studies.transfer import Control, Source, TransferStudy

OF_MASKS: tuple[Control, ...] = ("random", "permuted", "shuffled", "reinitialised")
Rounds = dict[tuple[str, str, int], Stage]


def stages_of(study: TransferStudy, base: Base, seeds: int | None = None) -> list[Stage]:
    """Return a study's stages: the rounds on sources, their tickets on targets, and controls.

    Rounds whose masks no level reads are left out. Raises `BadRequest` for bases whose images have
    another shape than those of the study's.
    """
    _check_shapes(study, base)
    found: list[Stage] = []
    for seed in range(seeds or study.seeds):
        rounds = _rounds(study, seed)
        found += [*rounds.values(), *_transfers(study, seed, rounds)]
        found += [*_controls(study, seed, rounds), *_overlaps(study, seed, rounds)]
    return found


def noise_of(study: TransferStudy, target: str, by: str, level: int, seed: int) -> str:
    """Return what seeds all noise of a training on a target: nothing of the source is in it."""
    named = [study.name, study.version, study.fields_of(target), by, level, seed]
    return sha256_of(["transfer", *named])


def lengthened(study: TransferStudy, source: Source, by: str) -> tuple[Recipe, Pruning]:
    """Return how a source is trained and rewound, for as many updates as `updates_of` has."""
    recipe = study.recipes[by]
    pruning = study.pruning.model_copy(update={"in_each": source.in_each})
    if source.updates_of is None:
        return recipe, pruning
    wanted, own = (
        len(batch_sizes(count_of(study.domain(name)), recipe.batch))
        for name in (source.updates_of, source.domain)
    )
    epochs = max(1, round(recipe.epochs * wanted / own))
    rewind = min(round(pruning.rewind * wanted / own), epochs - 1)
    return recipe.lasting(epochs), pruning.model_copy(update={"rewind": rewind})


def _check_shapes(study: TransferStudy, base: Base) -> None:
    for domain in study.domains:
        other, _ = find_base(domain.base)
        if (other.size, other.mode) != (base.size, base.mode):
            raise BadRequest(
                f"{domain.name} is of {other.id}, whose images are {other.mode} {other.size}; "
                f"those of {base.id} are {base.mode} {base.size}"
            )


def _rounds(study: TransferStudy, seed: int) -> Rounds:
    """Return the rounds of each source and optimiser, by source, optimiser and number."""
    rounds: Rounds = {}
    start = sha256_of(["transfer start", study.name, study.version, seed])
    for number in range(max(1, study.levels[-1])):
        for source in study.sources:
            for found in study.recipes:
                recipe, pruning = lengthened(study, source, found)
                needs = {}
                if number:
                    needs = {
                        "first": rounds[source.name, found, 0],
                        "before": rounds[source.name, found, number - 1],
                    }
                rounds[source.name, found, number] = Stage(
                    "transfer-source", source.name, seed,
                    _settings(study, source.domain, recipe, pruning)
                    | {"start": start, "level": number},
                    needs, {"found": found, "level": number},
                    recipe.epochs * count_of(study.domain(source.domain)),
                )  # fmt: skip
    return rounds


def _ticket(rounds: Rounds, source: Source, found: str, level: int) -> dict[str, Stage]:
    """Return where a ticket's rewinding point and, above level 0, its masks lie."""
    needs = {"first": rounds[source.name, found, 0]}
    return needs | ({"round": rounds[source.name, found, level - 1]} if level else {})


def _transfers(study: TransferStudy, seed: int, rounds: Rounds) -> list[Stage]:
    return [
        Stage(
            "transfer", cell.source.name, seed,
            _trained(study, cell.target, cell.by, level, seed),
            _ticket(rounds, cell.source, cell.found, level),
            {"target": cell.target, "found": cell.found, "by": cell.by, "level": level},
            _images(study, cell.target, cell.by),
        )
        for level in study.levels
        for cell in study.cells()
    ]  # fmt: skip


def _controls(study: TransferStudy, seed: int, rounds: Rounds) -> list[Stage]:
    """Return the controls: of the native masks of either way of pruning, or of no masks at all."""
    found = []
    for target in study.targets:
        for by in study.recipes:
            for level in study.levels:
                for in_each in (False, True):
                    native = study.native(target, in_each=in_each)
                    if native is None:
                        continue
                    needs = _ticket(rounds, native, by, level)
                    found += [
                        _control(study, name, target, by, level, seed, needs, in_each)
                        for name in OF_MASKS
                        if name in study.controls
                    ]
                if "small" in study.controls and level:
                    found.append(_control(study, "small", target, by, level, seed, {}, False))
            if "dense" in study.controls:
                found.append(_control(study, "dense", target, by, 0, seed, {}, False))
    return found


def _control(
    study: TransferStudy, name: Control, target: str, by: str, level: int, seed: int,
    needs: dict[str, Stage], in_each: bool,
) -> Stage:  # fmt: skip
    of: dict[str, Any] = {"target": target, "by": by, "level": level}
    return Stage(
        "transfer-control", name, seed,
        _trained(study, target, by, level, seed) | {"control": name, "level": level}, needs,
        of | ({"layerwise": True} if in_each else {}), _images(study, target, by),
    )  # fmt: skip


def _overlaps(study: TransferStudy, seed: int, rounds: Rounds) -> list[Stage]:
    """Compare plain sources pair by pair for each optimiser, and each source's optimisers."""
    plain = [source.name for source in study.sources if source.plain]
    pairs = [((a, by), (b, by)) for by in study.recipes for a, b in combinations(plain, 2)]
    pairs += [((a, one), (a, two)) for a in plain for one, two in combinations(study.recipes, 2)]
    return [
        Stage(
            "transfer-overlap", "overlap", seed, {},
            {"first": rounds[*first, level - 1], "second": rounds[*second, level - 1]},
            {
                "first": first[0], "first-found": first[1], "second": second[0],
                "second-found": second[1], "level": level,
            },
        )
        for level in study.levels
        if level
        for first, second in pairs
    ]  # fmt: skip


def _images(study: TransferStudy, target: str, by: str) -> int:
    return study.recipes[by].epochs * count_of(study.domain(target))


def _trained(study: TransferStudy, target: str, by: str, level: int, seed: int) -> dict[str, Any]:
    """Return what a training on a target depends on, whatever ticket it starts from."""
    settings = _settings(study, target, study.recipes[by], study.pruning)
    return settings | {"run": noise_of(study, target, by, level, seed)}


def _settings(
    study: TransferStudy, domain: str, recipe: Recipe, pruning: Pruning
) -> dict[str, Any]:
    base, _ = find_base(study.domain(domain).base)
    return {
        "domain": study.fields_of(domain), "base": base.id, "base_digest": base.digest,
        "resolution": study.resolution, "recipe": recipe.fields(), "pruning": pruning.fields(),
    }  # fmt: skip
