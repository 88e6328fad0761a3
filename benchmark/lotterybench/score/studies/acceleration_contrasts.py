"""Pairs of arms that differ in one ingredient: through what do targets accelerate (§10)?"""

from __future__ import annotations

from lotterybench.score.studies.acceleration_scores import Cell, Scores, adjusted
from lotterybench.studies.acceleration import Compared
from lotterybench.studies.acceleration_report import Contrast, Question

Pair = tuple[Question, Cell | None, Cell | None]


def contrasts_of(scores: Scores) -> list[Contrast]:
    """Return every contrast of each method that has both arms and a common seed."""
    return [one for method in scores.study.methods for one in _of_method(scores, method)]


def _of_method(scores: Scores, method: Compared) -> list[Contrast]:
    known = [
        (question, first, second, found)
        for question, first, second in _pairs(scores, method)
        if first and second and (found := scores.compare(first, second))
    ]
    after = adjusted(found for *_, found in known)
    return [
        Contrast(
            method=method.name, question=question, first=told(first), second=told(second),
            points=found.points, p=found.p, holm=holm,
        )
        for (question, first, second, found), holm in zip(known, after, strict=True)
    ]  # fmt: skip


def told(cell: Cell) -> str:
    """Name a cell's arm, its prior, and its epochs where they are not the whole training's."""
    prior = f" {cell.prior}" if cell.prior and cell.arm.startswith("rela") else ""
    length = f" {cell.epochs} epochs" if cell.arm in ("base-shorter", "base-equal-cost") else ""
    return f"{cell.arm}{prior}{length}"


def _pairs(scores: Scores, method: Compared) -> list[Pair]:
    """Return the primary contrasts, with the main prior at the primary budget."""
    study, main = scores.study, method.main
    rela = scores.of(method, "rela-redrawn", main)
    base = scores.of(method, "base-redrawn")
    mild = scores.of(method, "base-mild-views")
    full = scores.of(method, "base-full")
    pairs: list[Pair] = [
        ("accelerates at equal steps", rela, base),
        ("and against full data for as many steps", rela, scores.of(method, "base-shorter")),
        ("and against full data at equal cost", rela, rela and scores.equal_cost(rela)),
        ("as good as full data", rela, full),
        ("which target is whose", rela, scores.of(method, "rela-shuffled", main)),
        ("milder views alone", mild, base),
        ("targets beyond milder views", rela, mild),
        ("the second stage", rela, scores.of(method, "rela-stage-1", main)),
        ("redrawn samples", base, scores.of(method, "base-fixed")),
        ("redrawn samples, with targets", rela, scores.of(method, "rela-fixed", main)),
        ("more samples, with targets", scores.of(method, "rela-full", main), rela),
        ("a projection that is trained", rela, scores.of(method, "rela-fixed-projection", main)),
        ("a fixed switch", rela, scores.of(method, "rela-adaptive", main)),
    ]
    for name in method.priors[1:]:
        other, source = scores.of(method, "rela-redrawn", name), study.prior(name)
        if source.how == "random":
            pairs.append(("what the prior knows", rela, other))
        elif source.domain is not None and source.domain.base == study.base:
            pairs.append(("a prior of the same base", other, rela))
    return pairs
