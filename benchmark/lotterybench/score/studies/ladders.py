"""Ladders of a study of pre-trained tickets: each level against the dense networks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from lotterybench.ranking import noninferiority, replicates
from lotterybench.ranking.base.arrays import Floats
from lotterybench.studies import Finding
from lotterybench.studies.figures import Gap
from lotterybench.studies.pretrained import WHOLE, PretrainedStudy, Target
from lotterybench.studies.pretrained_report import CLAIM, SEEDS, Ladder, Step, Universal


class Cell(NamedTuple):
    """What was trained: from where, under which mask, on what, at which level."""

    init: str
    mask: str
    target: str
    level: int


Cells = dict[Cell, list[Finding]]


def cells_of(findings: Iterable[Finding], arm: str) -> Cells:
    """Return the downstream trainings of an arm, by what was trained."""
    found: Cells = defaultdict(list)
    for one in findings:
        if one.stage == "downstream" and one.arm == arm:
            found[cell_of(one)].append(one)
    return found


def cell_of(one: Finding) -> Cell:
    """Return what a downstream training was of."""
    of = one.of
    return Cell(str(of["init"]), str(of["mask"]), str(of["target"]), int(of["level"]))


def ladders_of(study: PretrainedStudy, findings: Sequence[Finding]) -> list[Ladder]:
    """Return a ladder for every initialisation, mask and target that has tickets."""
    tickets, dense = cells_of(findings, "ticket"), cells_of(findings, "dense")
    return [
        _ladder(study, init, mask, study.target(target), tickets, dense)
        for init, mask, target in _sources(tickets)
    ]


def _sources(tickets: Cells) -> list[tuple[str, str, str]]:
    """Return initialisation, mask and target of every ladder, in the order of the findings."""
    found = {(cell.init, cell.mask, cell.target): None for cell in tickets if cell.mask != WHOLE}
    return list(found)


def _ladder(
    study: PretrainedStudy, init: str, mask: str, target: Target, tickets: Cells, dense: Cells
) -> Ladder:
    """Return a ladder; level 0, which no mask prunes, is the same for all masks."""
    metric = target.metric
    cells = [Cell(init, mask if level else WHOLE, target.name, level) for level in study.levels]
    held = [tickets.get(cell, []) for cell in cells]
    reference = dense.get(Cell(init, WHOLE, target.name, 0), [])
    groups, against = [values_of(group, metric) for group in held], values_of(reference, metric)
    spread = noninferiority.pooled([*groups, against])
    untested = _untested(study, held, reference)
    steps = [
        _step(study, level, group, metric, against, spread)
        for level, group in zip(study.levels, held, strict=True)
    ]
    if untested is None:
        bounds = [None if step.failed else step.bound for step in steps]
        said = noninferiority.in_sequence(bounds, target.margin)
        steps = [
            step.model_copy(update={"non_inferior": one})
            for step, one in zip(steps, said, strict=True)
        ]
    both = len(against) >= 2
    return Ladder(
        init=init, mask=mask, target=target.name, metric=metric, margin=target.margin,
        dense_n=len(against), dense_mean=float(against.mean()) if len(against) else None,
        dense_sd=float(against.std(ddof=1)) if both else None,
        pooled_sd=spread.sd if spread else None, df=spread.df if spread else 0, steps=steps,
        holds_to=_last(steps, [step.non_inferior for step in steps]), untested=untested,
        claim=untested is None and min(study.seeds, len(against)) >= CLAIM,
        power=(
            noninferiority.power_if_equal(spread, study.seeds, len(against), target.margin)
            if spread and both else None
        ),
        within_to=_last(steps, [step.within_sd for step in steps]),
        within_last=max((step.level for step in steps if step.within_sd), default=None),
        within_if_equal=(
            noninferiority.within_sd_if_equal(study.seeds, len(against)) if both else None
        ),
        beside=_beside(held, metric),
    )  # fmt: skip


def _untested(
    study: PretrainedStudy, held: Sequence[Sequence[Finding]], reference: Sequence[Finding]
) -> str | None:
    """Return why a ladder cannot be tested (protocol §10), or None."""
    if study.seeds < SEEDS:
        return f"{study.seeds} seeds allow no test; it takes {SEEDS} (protocol §10)"
    if study.dense < CLAIM:
        return f"{study.dense} dense seeds allow no test; it takes {CLAIM} (protocol §10)"
    if len(reference) < study.dense or min(map(len, held)) < study.seeds:
        return "planned seeds have not ended"
    if any(one.status != "ok" for one in reference):
        return "a dense network failed"
    return None


def _step(
    study: PretrainedStudy, level: int, group: Sequence[Finding], metric: str, against: Floats,
    spread: noninferiority.Spread | None,
) -> Step:  # fmt: skip
    values = values_of(group, metric)
    step = Step(
        level=level, density=study.pruning.density(level), planned=study.seeds, n=len(values),
        failed=sum(one.status != "ok" for one in group),
    )  # fmt: skip
    if not len(values):
        return step
    known: dict[str, object] = {"mean": float(values.mean())}
    if len(values) > 1:
        known["sd"] = float(values.std(ddof=1))
    if len(against):
        known["gap"] = Gap(**replicates.difference(values, against)._asdict())
        if spread:
            known["bound"] = noninferiority.lower_bound(values, against, spread)
    if len(against) > 1:
        known["within_sd"] = noninferiority.within_sd(values, against)
    return step.model_copy(update=known)


def _last(steps: Sequence[Step], said: Sequence[bool | None]) -> int | None:
    """Return the last level up to which all hold."""
    last = None
    for step, holds in zip(steps, said, strict=True):
        if not holds:
            break
        last = step.level
    return last


def _beside(held: Sequence[Sequence[Finding]], metric: str) -> dict[str, list[float | None]]:
    """Return means of other metrics of the test images, by level."""
    names = {"ap"} & {name for group in held for one in group for name in one.metrics} - {metric}
    found = {}
    for name in sorted(names):
        values = [values_of(group, name) for group in held]
        found[name] = [float(of.mean()) if len(of) else None for of in values]
    return found


def values_of(group: Iterable[Finding], metric: str) -> Floats:
    """Return a metric of those that ended well, in the order of their seeds."""
    good = sorted((one for one in group if one.status == "ok"), key=lambda one: one.seed)
    return np.array([one.metrics[metric] for one in good if metric in one.metrics], np.float64)


def universal_of(study: PretrainedStudy, ladders: Sequence[Ladder]) -> list[Universal]:
    """Return the least levels of masks that were trained on every target."""
    by_mask: dict[tuple[str, str], list[Ladder]] = defaultdict(list)
    for ladder in ladders:
        by_mask[ladder.init, ladder.mask].append(ladder)
    return [
        Universal(
            init=init,
            mask=mask,
            targets=[ladder.target for ladder in group],
            holds_to=_least([ladder.holds_to for ladder in group]),
            within_to=_least([ladder.within_to for ladder in group]),
        )
        for (init, mask), group in by_mask.items()
        if len(group) == len(study.targets) > 1
    ]


def _least(levels: Sequence[int | None]) -> int | None:
    known = [level for level in levels if level is not None]
    return min(known) if len(known) == len(levels) else None
