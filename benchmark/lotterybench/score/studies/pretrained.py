"""The report of a study of pre-trained tickets: ladders of levels, and what is beside them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import fmean

import numpy as np

from lotterybench.score.studies.figures import begun, figure_or_none
from lotterybench.score.studies.ladders import (
    Cell,
    Cells,
    cell_of,
    cells_of,
    ladders_of,
    universal_of,
    values_of,
)
from lotterybench.studies import Finding
from lotterybench.studies.pretrained import PretrainedStudy
from lotterybench.studies.pretrained_report import (
    Agreement,
    Kernels,
    Pretask,
    PretrainedReport,
    Sensitivity,
)


def report_of(study: PretrainedStudy, findings: Sequence[Finding]) -> PretrainedReport:
    """Return the report of a study; raise `BadResults` for findings of another one.

    Figures that lack their findings are undefined, and verdicts wait until all planned seeds of
    their ladder have ended.
    """
    common = begun(study, findings)
    ladders = ladders_of(study, findings)
    return PretrainedReport(
        **common, base=study.base,
        seeds=study.seeds, dense=study.dense, weights=study.weights, findings=len(findings),
        images=sum(finding.images for finding in findings), ladders=ladders,
        universal=universal_of(study, ladders), pretasks=_pretasks(findings),
        agreements=_agreements(findings), kernels=_kernels(findings),
        sensitivities=_sensitivities(study, findings, cells_of(findings, "ticket")),
    )  # fmt: skip


def _pretasks(findings: Iterable[Finding]) -> list[Pretask]:
    held: dict[tuple[str, int], list[Finding]] = defaultdict(list)
    for one in findings:
        if one.stage == "pretraining":
            held[str(one.of["init"]), 0].append(one)
        elif one.stage == "pretask-round" and one.of["level"]:
            held[str(one.of["init"]), int(one.of["level"])].append(one)
    return [
        Pretask(
            init=init,
            level=level,
            retrieval=figure_or_none(values_of(group, "retrieval")),
            accuracy=figure_or_none(values_of(group, "accuracy")),
        )
        for (init, level), group in sorted(held.items(), key=lambda item: item[0][1])
    ]


def _compared(findings: Iterable[Finding]) -> dict[tuple[int, tuple[str, ...]], list[float]]:
    """Return the figures of overlaps by level and name; each seed's once."""
    held: dict[tuple[int, tuple[str, ...]], dict[int, float]] = defaultdict(dict)
    for one in findings:
        if one.stage == "mask-overlap" and one.status == "ok":
            for name, value in one.metrics.items():
                held[int(one.of["level"]), tuple(name.split("|"))][one.seed] = value
    return {key: [by_seed[seed] for seed in sorted(by_seed)] for key, by_seed in held.items()}


def _agreements(findings: Iterable[Finding]) -> list[Agreement]:
    held = _compared(findings)
    pairs = dict.fromkeys((level, of[:2]) for level, of in held if len(of) == 3)
    return [
        Agreement(
            level=level,
            first=first,
            second=second,
            jaccard=_average(held.get((level, (first, second, "jaccard")))),
            chance=_average(held.get((level, (first, second, "chance")))),
            normalised=figure_or_none(
                np.array(held.get((level, (first, second, "normalised")), []))
            ),
            z=_average(held.get((level, (first, second, "z")))),
        )
        for level, (first, second) in pairs
    ]


def _kernels(findings: Iterable[Finding]) -> list[Kernels]:
    found = []
    for (level, of), values in _compared(findings).items():
        zero = figure_or_none(values)
        if len(of) == 2 and not of[0].endswith("@before") and zero:
            found.append(Kernels(level=level, mask=of[0], zero=zero))
    return found


def _sensitivities(
    study: PretrainedStudy, findings: Iterable[Finding], tickets: Cells
) -> list[Sensitivity]:
    """Return the points that variants lose, paired by seed with the tickets they are made of."""
    held: dict[tuple[Cell, str], list[Finding]] = defaultdict(list)
    for one in findings:
        if one.stage == "downstream" and one.arm == "perturbed":
            held[cell_of(one), str(one.of["variant"])].append(one)
    found = []
    for (cell, variant), group in held.items():
        metric = study.target(cell.target).metric
        whole = {
            one.seed: one.metrics[metric] for one in tickets.get(cell, []) if one.status == "ok"
        }
        good = [one for one in group if one.status == "ok" and one.seed in whole]
        if not good:
            continue
        lost = np.array([whole[one.seed] - one.metrics[metric] for one in good])
        found.append(
            Sensitivity(
                init=cell.init,
                target=cell.target,
                level=cell.level,
                variant=variant,
                density=fmean(one.metrics["density"] for one in good),
                metric=metric,
                lost=figure_or_none(lost),
            )
        )
    return found


def _average(values: Sequence[float] | None) -> float | None:
    return fmean(values) if values else None
