"""The report of a study of accelerated training, made of its findings alone (protocol §10)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from lotterybench.errors import BadResults
from lotterybench.score.studies.acceleration_contrasts import contrasts_of
from lotterybench.score.studies.acceleration_pool import Pool
from lotterybench.score.studies.acceleration_ranking import ranking_says, rankings_of
from lotterybench.score.studies.acceleration_scores import (
    TRAINED,
    BySeed,
    Cell,
    Scores,
    adjusted,
)
from lotterybench.score.studies.figures import begun, figure
from lotterybench.studies import Finding
from lotterybench.studies.acceleration import FEWEST, FORMS, AccelerationStudy
from lotterybench.studies.acceleration_report import (
    AccelerationReport,
    ArmRow,
    Contrast,
    CurvePoint,
    MapRow,
    PriorRow,
    RateRow,
)

SURE = 0.05
FEW = 0.05  # samples that were never shown, below which no data were saved to speak of
LOOKED = "knn-after-"


def report_of(study: AccelerationStudy, findings: Sequence[Finding]) -> AccelerationReport:
    """Return the report of a study's findings; raise `BadResults` for those of another study."""
    common = begun(study, findings)
    scores = Scores(study, findings)
    if not scores.cells:
        raise BadResults(f"nothing of {study.name} was trained yet; run it first")
    trained = [one for one in findings if one.stage == "accelerated"]
    contrasts, arms, priors = contrasts_of(scores), _arms(scores), _priors(scores)
    pool = Pool(scores, findings)
    ranks = len(study.methods) >= FEWEST
    rankings = rankings_of(pool) if ranks else []
    told = ranking_says(pool, rankings) if ranks else []
    return AccelerationReport(
        **common,
        title=study.title,
        seeds=len({one.seed for one in trained}),
        samples=round(next(iter(_first(scores).values())).metrics["samples"]),
        trainings=len(trained),
        images=sum(one.images for one in findings),
        prior_seeds=study.prior_seeds,
        says=told + _says(study, contrasts, arms, priors),
        contrasts=contrasts,
        arms=arms,
        priors=priors,
        maps=_maps(findings),
        rates=_rates(findings),
        curves=[point for cell in scores.cells for point in _curve(scores, cell)],
        rankings=rankings,
        unranked={**pool.unfit, **pool.related} if ranks else {},
    )


def _first(scores: Scores) -> BySeed:
    return next(iter(scores.cells.values()))


def _arms(scores: Scores) -> list[ArmRow]:
    """Return a row for each cell; p is adjusted over the cells of a method."""
    rows = []
    for method in scores.study.methods:
        cells = [cell for cell in scores.cells if cell.method == method.name]
        compared: list[dict[str, object]] = [{} for _ in cells]
        for name, other in (
            ("full", scores.full), ("same", scores.same), ("cost", scores.equal_cost),
        ):  # fmt: skip
            found = [scores.compare(cell, other(cell)) for cell in cells]
            for told, one, holm in zip(compared, found, adjusted(found), strict=True):
                told |= {f"against_{name}": one and one.points, f"holm_{name}": holm}
        rows += [
            _arm(scores, cell).model_copy(update=told)
            for cell, told in zip(cells, compared, strict=True)
        ]
    return rows


def _arm(scores: Scores, cell: Cell) -> ArmRow:
    group = scores.cells[cell]
    passes, full = scores.passes(cell), scores.whole(cell)
    targets = FORMS[cell.arm].targets != "none"
    whole = passes + (scores.passes_of_prior(cell.prior) if targets and cell.prior else 0)
    steps = [group[seed].metrics.get("switch_step") for seed in sorted(group)]
    return ArmRow(
        method=cell.method, arm=cell.arm, prior=cell.prior, budget=cell.budget,
        epochs=cell.epochs, lr=next(iter(group.values())).metrics["lr"],
        linear=scores.figure(cell, "linear"), knn=scores.figure(cell, "knn"),
        images=float(np.mean([one.images for one in group.values()])), passes=passes,
        with_prior=whole, of_full=whole / full if full else None,
        shown=scores.figure(cell, "shown"),
        switches=[None if step is None else round(step) for step in steps] if targets else [],
    )  # fmt: skip


def _priors(scores: Scores) -> list[PriorRow]:
    """Return what priors are worth by themselves, and cost in trainings of the first method."""
    full = scores.of(scores.study.methods[0], "base-full")
    whole = scores.passes(full) if full else None
    rows = []
    for source in scores.study.priors:
        own, targets = (held.get(source.name) for held in (scores.priors, scores.targets))
        if not own or not targets:
            continue
        images = float(np.mean([one.images for one in own.values()]))
        looked = float(np.mean([one.looked for one in targets.values()]))
        rows.append(
            PriorRow(
                prior=source.name, how=source.how, images=images,
                linear=figure([one.metrics["linear"] for one in own.values()]),
                knn=figure([one.metrics["knn"] for one in own.values()]),
                dimension=round(next(iter(targets.values())).metrics["dimension"]),
                of_full=TRAINED * images / whole if whole else None,
                targets_of_full=looked / whole if whole else None,
            )
        )  # fmt: skip
    return rows


def _maps(findings: Iterable[Finding]) -> list[MapRow]:
    """Return R² from each prior to each other one."""
    held: dict[tuple[str, str, str], list[Finding]] = {}
    for one in findings:
        if one.stage == "linear-map" and one.status == "ok":
            first, second = str(one.of["first"]), str(one.of["second"])
            held.setdefault((first, second, "there"), []).append(one)
            held.setdefault((second, first, "back"), []).append(one)
    return [
        MapRow(
            first=first,
            second=second,
            r2=figure([one.metrics[f"{way}-r2"] for one in group]),
            whitened=figure([one.metrics[f"{way}-whitened"] for one in group]),
            shuffled=figure([one.metrics[f"{way}-shuffled"] for one in group]),
        )
        for (first, second, way), group in held.items()
    ]


def _rates(findings: Sequence[Finding]) -> list[RateRow]:
    chosen = {str(one.of["method"]): one.metrics["lr"] for one in findings if one.stage == "rate"}
    return [
        RateRow(
            method=str(one.of["method"]), lr=one.metrics["lr"], knn=one.metrics["knn"],
            chosen=chosen.get(str(one.of["method"])) == one.metrics["lr"],
        )
        for one in findings
        if one.stage == "tuning" and one.status == "ok"
    ]  # fmt: skip


def _curve(scores: Scores, cell: Cell) -> list[CurvePoint]:
    group = scores.cells[cell]
    names = next(iter(group.values())).metrics
    each = float(np.mean([one.images for one in group.values()])) / cell.epochs
    after = sorted(int(name.removeprefix(LOOKED)) for name in names if name.startswith(LOOKED))
    return [
        CurvePoint(
            method=cell.method, arm=cell.arm, prior=cell.prior, budget=cell.budget,
            epochs=cell.epochs, after=epoch, images=each * epoch,
            knn=scores.figure(cell, f"{LOOKED}{epoch}"),
        )
        for epoch in after
    ]  # fmt: skip


def _says(
    study: AccelerationStudy, contrasts: Sequence[Contrast], arms: Sequence[ArmRow],
    priors: Sequence[PriorRow],
) -> list[str]:  # fmt: skip
    """Say what the study is about in sentences; what is not told apart is said to be so."""
    said = [_told(one) for one in contrasts if one.question in PRIMARY]
    if study.asks == "ranking":
        said = [GAINS]
    for row in arms:
        if row.arm == "base-redrawn" and row.method == study.methods[0].name:
            said.append(_shown(row))
        if row.arm == "rela-adaptive":
            steps = ", ".join("never" if step is None else str(step) for step in row.switches)
            said.append(f"{row.method}: the adaptive switch came after these steps: {steps}.")
    for prior in priors:
        if prior.targets_of_full is not None and prior.of_full is not None:
            said.append(
                f"{prior.prior}: its targets cost {prior.targets_of_full:.2%} and its training "
                f"{prior.of_full:.0%} of one training of {study.methods[0].name} on full data, in "
                "forward passes."
            )
    if study.prior_seeds == "one":
        said.append("Each prior is one for all seeds: intervals are about these priors.")
    return said


def _shown(row: ArmRow) -> str:
    """Say how much of the data a redrawn budget goes without."""
    missed = 1 - row.shown.value
    saves = "updates, not data" if missed < FEW else f"updates, and {missed:.1%} of the data"
    return (
        f"A redrawn {row.budget:.0%} showed {row.shown.value:.2%} of the samples at least once in "
        f"{row.epochs} epochs: it saves {saves} (protocol §10)."
    )


GAINS = (
    "What single methods gain stands in the tables; a claim of it needs the controls of a study "
    "that asks for it (protocol §10)."
)
PRIMARY = (
    "accelerates at equal steps", "and against full data for as many steps",
    "and against full data at equal cost", "as good as full data", "what the prior knows",
)  # fmt: skip


def _told(one: Contrast) -> str:
    """Say a contrast: it is a claim where the interval and Holm's p exclude 0."""
    shown = one.points
    text = f"{one.method}: {one.first} less {one.second}: {shown.value:+.2f} points"
    if shown.low is None or shown.high is None or one.holm is None:
        return f"{text} (n = {shown.n}, no interval)."
    bounds = f"95 % {shown.low:+.2f} to {shown.high:+.2f}, n = {shown.n}, p = {one.holm:.2g}"
    apart = (shown.low > 0 or shown.high < 0) and one.holm <= SURE
    word = ("more" if shown.value > 0 else "less") if apart else "not told apart"
    return f"{text} ({bounds} after Holm): {word}."
