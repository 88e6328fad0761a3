"""The report of a transfer study, made of its findings alone (protocol §10, One Ticket)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product

import numpy as np

from lotterybench.errors import BadResults
from lotterybench.ranking.agreement import spearman_rho
from lotterybench.ranking.base.arrays import Floats
from lotterybench.ranking.concordance import concordance
from lotterybench.ranking.gain import normalised_gain
from lotterybench.score.studies.figures import begun
from lotterybench.score.studies.transfer_contrasts import contrasts_of
from lotterybench.score.studies.transfer_controls import control_cells, pooled_controls
from lotterybench.score.studies.transfer_scores import Key, Scores, paired, pooled
from lotterybench.studies import Finding
from lotterybench.studies.transfer import Source, TransferStudy
from lotterybench.studies.transfer_report import (
    Area,
    Crossing,
    MaskOverlap,
    Place,
    Pooled,
    Ranking,
    SourceFacts,
    TransferCell,
    TransferReport,
    Trend,
)

FEW = 10  # sources below which a rank correlation is only described


def report_of(study: TransferStudy, findings: Sequence[Finding]) -> TransferReport:
    """Return the report of a study's findings; raise `BadResults` for those of another study."""
    common = begun(study, findings)
    scores = Scores(study, findings)
    if not scores.transfers:
        raise BadResults(f"no ticket of {study.name} was trained on a target yet; run it first")
    cells = [_cell(scores, key) for key in scores.transfers]
    facts = _facts(study, findings)
    over = [_pooled(scores, source, cells) for source in study.sources]
    trained = [one for one in findings if one.stage != "transfer-overlap"]
    return TransferReport(
        **common,
        title=study.title,
        seeds=len({one.seed for one in findings}),
        trainings=len(trained),
        images=sum(one.images for one in trained),
        sources=facts,
        pooled=over,
        trends=_trends(study, facts, over),
        contrasts=contrasts_of(scores, facts),
        optimisers=_optimisers(scores),
        ranking=_ranking(scores),
        controls=pooled_controls(scores),
        overlaps=_overlaps(findings),
        areas=_areas(scores),
        cells=cells,
        control_cells=control_cells(scores),
    )


def _facts(study: TransferStudy, findings: Iterable[Finding]) -> list[SourceFacts]:
    """Return what each source trained on, of its first round that ended."""
    first: dict[str, Finding] = {}
    for one in findings:
        if one.stage == "transfer-source" and one.of["level"] == 0 and one.status == "ok":
            first.setdefault(one.arm, one)
    return [
        SourceFacts(
            source=source.name,
            labels=study.domain(source.domain).labels,
            **{
                name: round(first[source.name].metrics[name])
                for name in ("samples", "classes", "epochs", "updates")
            },
        )
        for source in study.sources
        if source.name in first
    ]  # fmt: skip


def _cell(scores: Scores, key: Key) -> TransferCell:
    own, random, native = scores.transfers[key], scores.random(key), scores.native(key)
    is_native = scores.native_key(key) == key
    seeds = sorted(own.keys() & random.keys() & native.keys())
    rows = [np.array([side[seed] for seed in seeds]) for side in (own, random, native)]
    accuracy = paired(own)
    assert accuracy is not None
    return TransferCell(
        source=key.source.name,
        target=key.target,
        found=key.found,
        by=key.by,
        level=key.level,
        native=is_native,
        accuracy=accuracy,
        random=paired(random),
        against_random=paired(own, random),
        against_native=None if is_native else paired(own, native),
        normalised=None if is_native else normalised_gain(*rows),
    )


def _pooled(scores: Scores, source: Source, cells: Sequence[TransferCell]) -> Pooled:
    """Pool a source's transfers; cells are averaged in each seed before seeds are compared."""
    keys = [key for key in scores.transferred() if key.source == source]
    inside = {(key.source.name, key.target, key.found, key.by, key.level) for key in keys}
    gains = [
        cell.normalised
        for cell in cells
        if (cell.source, cell.target, cell.found, cell.by, cell.level) in inside
    ]
    defined = [gain for gain in gains if gain is not None]
    return Pooled(
        source=source.name,
        cells=len(keys),
        against_random=pooled((scores.transfers[key], scores.random(key)) for key in keys),
        against_native=pooled((scores.transfers[key], scores.native(key)) for key in keys),
        normalised=float(np.median(defined)) if defined else None,
        undefined=len(gains) - len(defined),
    )


def _trends(
    study: TransferStudy, facts: Sequence[SourceFacts], over: Sequence[Pooled]
) -> list[Trend]:
    """Correlate plain sources' scores with size and with classes, each by itself.

    Shuffled labels are left out: their classes are none.
    """
    plain = {source.name for source in study.sources if source.plain}
    points = {one.source: one.against_random.value for one in over if one.against_random}
    used = [
        fact
        for fact in facts
        if fact.source in plain and fact.source in points and fact.labels != "shuffled"
    ]
    y = np.array([points[fact.source] for fact in used])
    x = {
        "log samples": np.log([float(fact.samples) for fact in used]),
        "classes": np.array([float(fact.classes) for fact in used]),
    }
    return [_trend(of, values, y) for of, values in x.items()]


def _trend(of: str, x: Floats, y: Floats) -> Trend:
    n, values = len(x), len(set(x.tolist()))
    few = n < FEW
    caution = f"{n} sources of {values} different values describe, they test nothing"
    return Trend.model_validate(
        {
            "of": of, "n": n, "values": values, "rho": spearman_rho(x, y),
            "caution": caution if few else None,
        }
    )  # fmt: skip


def _optimisers(scores: Scores) -> list[Crossing]:
    """Return the matrix of optimisers, over the plain sources' transfers."""
    found = []
    for first, by in product(scores.study.recipes, repeat=2):
        keys = [
            key
            for key in scores.transferred(same=False)
            if key.source.plain and (key.found, key.by) == (first, by)
        ]
        found.append(
            Crossing(
                found=first,
                by=by,
                cells=len(keys),
                accuracy=pooled((scores.transfers[key], None) for key in keys),
                against_random=pooled((scores.transfers[key], scores.random(key)) for key in keys),
            )
        )
    return found


def _ranking(scores: Scores) -> Ranking | None:
    """Rank plain sources on each target, native tickets among them, by one optimiser."""
    study = scores.study
    plain = [source for source in study.sources if source.plain]
    rows = []
    for target in study.targets:
        keys = [
            [key for key in scores.transfers if key.source == source and key.target == target
             and key.found == key.by]
            for source in plain
        ]  # fmt: skip
        means = [pooled((scores.transfers[key], None) for key in one) for one in keys]
        rows.append([np.nan if mean is None else mean.value for mean in means])
    table = np.array(rows)
    if np.isnan(table).any() or len(plain) < 2:
        return None
    ranks, w = concordance(table)
    order = np.argsort(ranks, kind="stable")
    places = [Place(source=plain[i].name, rank=float(ranks[i])) for i in order]
    return Ranking(targets=study.targets, places=places, w=w)


def _areas(scores: Scores) -> list[Area]:
    """Return means over log density, which is proportional to the level."""
    if len(scores.study.levels) < 2:
        return []
    found = []
    for cell in dict.fromkeys(key._replace(level=-1) for key in scores.transfers):
        keys = [cell._replace(level=level) for level in scores.study.levels]
        own = _area([(key.level, scores.transfers.get(key, {})) for key in keys])
        random = _area([(key.level, scores.random(key)) for key in keys])
        accuracy = paired(own)
        if accuracy is None:
            continue
        found.append(
            Area(
                source=cell.source.name,
                target=cell.target,
                found=cell.found,
                by=cell.by,
                accuracy=accuracy,
                against_random=paired(own, random),
            )
        )
    return found


def _area(curve: Sequence[tuple[int, dict[int, float]]]) -> dict[int, float]:
    """Return each seed's mean over levels by trapezoids, of the seeds that have all."""
    levels = np.array([level for level, _ in curve], dtype=np.float64)
    seeds = set.intersection(*(set(values) for _, values in curve))
    return {
        seed: float(np.trapezoid([values[seed] for _, values in curve], levels))
        / float(levels[-1] - levels[0])
        for seed in sorted(seeds)
    }


def _overlaps(findings: Iterable[Finding]) -> list[MaskOverlap]:
    groups: dict[tuple[str, str, str, str, int], list[Finding]] = {}
    for one in findings:
        if one.stage == "transfer-overlap" and one.status == "ok":
            names = ("first", "first-found", "second", "second-found")
            a, b, c, d = (str(one.of[name]) for name in names)
            groups.setdefault((a, b, c, d, int(one.of["level"])), []).append(one)
    return [
        MaskOverlap(
            first=a, first_found=b, second=c, second_found=d, level=level,
            jaccard=paired(_metric(group, "jaccard")),
            chance=_mean(_metric(group, "chance")),
            normalised=paired(_metric(group, "normalised")),
        )
        for (a, b, c, d, level), group in groups.items()
    ]  # fmt: skip


def _metric(group: Iterable[Finding], name: str) -> dict[int, float]:
    return {one.seed: one.metrics[name] for one in group if name in one.metrics}


def _mean(values: dict[int, float]) -> float | None:
    return float(np.mean(list(values.values()))) if values else None
