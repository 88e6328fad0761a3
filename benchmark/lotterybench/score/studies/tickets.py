"""The report of a PrAC study: what its findings say over replicates (protocol §10)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from lotterybench.errors import BadResults
from lotterybench.ranking import replicates
from lotterybench.ranking.claims import TwoSided, claim_word
from lotterybench.score.studies.figures import begun, figure
from lotterybench.studies import Finding, TicketStudy
from lotterybench.studies.figures import Figure, Gap
from lotterybench.studies.tickets import Claim
from lotterybench.studies.tickets_report import (
    ClaimRow,
    OverlapRow,
    RoundRow,
    SavingRow,
    TicketRow,
    TicketsReport,
)

REPLICATES = 3  # that a published figure is compared with (protocol §10)


def report_of(study: TicketStudy, findings: Sequence[Finding]) -> TicketsReport:
    """Return a study's report; raise `BadResults` for findings of another version of it."""
    common = begun(study, findings)
    if not findings:
        raise BadResults(f"there are no findings of {study.name} yet; run it first")
    ok = [one for one in findings if one.status == "ok"]
    rounds = [one for one in ok if one.stage == "round"]
    tickets = _tickets(study, ok)
    samples = max((int(one.metrics["samples"]) for one in rounds), default=0)
    return TicketsReport(
        **common,
        base=study.base,
        samples=samples,
        seeds=len({one.seed for one in findings}),
        margin=study.margin,
        tickets=tickets,
        rounds=_rounds(rounds, samples),
        savings=_savings(study, rounds, tickets),
        overlaps=_overlaps([one for one in ok if one.stage == "set-overlap"]),
        claims=[_claimed(study, claim, rounds, samples) for claim in study.claims],
    )  # fmt: skip


class Place(NamedTuple):
    """What replicates of a row share: `stage` tells an arm from a baseline of its name."""

    stage: str
    arm: str
    recipe: str
    level: int
    control: str = ""


def _place(one: Finding) -> Place:
    of = one.of
    control = str(of.get("control", ""))
    return Place(one.stage, one.arm, str(of["recipe"]), int(of["level"]), control)


def _grouped(findings: Iterable[Finding]) -> dict[Place, list[Finding]]:
    """Return findings by what their replicates share, in the order of the plan."""
    groups: dict[Place, list[Finding]] = {}
    for one in findings:
        groups.setdefault(_place(one), []).append(one)
    return groups


def metric(found: Iterable[Finding], name: str) -> Figure:
    """Return the mean of one metric."""
    return figure(one.metrics[name] for one in found)


def _tickets(study: TicketStudy, findings: Sequence[Finding]) -> list[TicketRow]:
    groups = _grouped(one for one in findings if one.stage in ("ticket", "baseline"))
    rows = []
    for place, group in groups.items():
        to_imp, to_stopped = (
            _gap(group, groups.get(Place("ticket", reference, place.recipe, place.level), []))
            for reference in _references(study, place.recipe)
        )
        lowers = [gap.lower for gap in (to_imp, to_stopped) if gap is not None]
        bounds = [lower for lower in lowers if lower is not None]
        rows.append(
            TicketRow(
                arm=place.arm, pruned="in rounds" if place.stage == "ticket" else "at the start",
                recipe=place.recipe, level=place.level, control=place.control,
                sparsity=1 - group[0].metrics["density"], accuracy=metric(group, "test"),
                to_imp=to_imp, to_stopped=to_stopped,
                non_inferior=min(bounds) > -study.margin if len(bounds) == 2 else None,
            )
        )  # fmt: skip
    return rows


def _references(study: TicketStudy, recipe: str) -> tuple[str, str]:
    """Return the names of the arms on all samples of an architecture: whole, and stopped early."""
    full = [arm for arm in study.arms if arm.data == "full" and arm.recipe == recipe]
    plain = [arm.name for arm in full if not arm.stops and not arm.matched]
    stopped = [arm.name for arm in full if arm.stops]
    return (plain or [""])[0], (stopped or [""])[0]


def _gap(group: list[Finding], reference: list[Finding]) -> Gap | None:
    """Return the gap to a reference's replicates; None to itself, or to none."""
    if not reference or (reference[0].arm == group[0].arm and not group[0].of.get("control")):
        return None
    first, second = (np.array([one.metrics["test"] for one in of]) for of in (group, reference))
    found = replicates.difference(first, second)
    return Gap(value=found.value, low=found.low, high=found.high, lower=found.lower)


def _rounds(findings: Sequence[Finding], samples: int) -> list[RoundRow]:
    rows = []
    for place, group in _grouped(findings).items():
        chooses = all("set" in one.metrics for one in group)
        size = metric(group, "samples")
        rows.append(
            RoundRow(
                arm=place.arm, recipe=place.recipe, level=place.level, samples=size,
                share=size.value / samples, epochs=metric(group, "epochs"),
                settled=metric(group, "settled").value, test=metric(group, "test"),
                following=metric(group, "set") if chooses else None,
                cet=metric(group, "cet") if chooses else None,
                cep=metric(group, "cep") if chooses else None,
            )
        )  # fmt: skip
    return rows


class Spent(NamedTuple):
    """What each replicate of an arm spends until its masks of the study's level are there."""

    steps: list[float]
    passes: list[float]


def _savings(
    study: TicketStudy, rounds: Sequence[Finding], tickets: Sequence[TicketRow]
) -> list[SavingRow]:
    spent = {arm.name: _spent(study, rounds, arm.name) for arm in study.arms}
    quotable = {
        row.arm: bool(row.non_inferior) for row in tickets
        if row.level == study.at and not row.control and row.pruned == "in rounds"
    }  # fmt: skip
    rows = []
    for arm in study.arms:
        plain, stopped = _references(study, arm.recipe)
        own = spent[arm.name]
        if not own.steps or not spent.get(plain, Spent([], [])).steps:
            continue
        of_stopped = spent.get(stopped, Spent([], []))
        rows.append(
            SavingRow(
                arm=arm.name, recipe=arm.recipe, level=study.at,
                sparsity=1 - study.pruning.density(study.at),
                steps=figure(own.steps), passes=figure(own.passes),
                steps_saved=_saved(own.steps, spent[plain].steps),
                passes_saved=_saved(own.passes, spent[plain].passes),
                steps_saved_of_stopped=_saved(own.steps, of_stopped.steps) if of_stopped.steps
                else None,
                passes_saved_of_stopped=_saved(own.passes, of_stopped.passes)
                if of_stopped.passes else None,
                quoted=quotable.get(arm.name, False),
            )
        )  # fmt: skip
    return rows


def _spent(
    study: TicketStudy, rounds: Sequence[Finding], arm: str, level: int | None = None
) -> Spent:
    """Return what each seed spends on the rounds below a level, the study's; whole chains only."""
    level = study.at if level is None else level
    by_seed: dict[int, list[Finding]] = {}
    for one in rounds:
        if one.arm == arm and int(one.of["level"]) < level:
            by_seed.setdefault(one.seed, []).append(one)
    chains = [chain for chain in by_seed.values() if len(chain) == level]
    return Spent(
        [float(sum(one.steps for one in chain)) for chain in chains],
        [sum(one.passes() for one in chain) for chain in chains],
    )


def _saved(own: Sequence[float], reference: Sequence[float]) -> Figure:
    """Return the part saved of a reference's mean, over replicates: 1 − own / reference."""
    return figure(1 - np.array(own) / np.mean(reference))


def _claimed(study: TicketStudy, claim: Claim, rounds: Sequence[Finding], samples: int) -> ClaimRow:
    """Return what replicates say of a published figure; it takes three (protocol §10)."""
    prac = next((arm.name for arm in study.arms if arm.data == "prac"), "")
    if claim.what == "set-share":
        there = [one for one in rounds if (one.arm, one.of["level"]) == (prac, claim.level)]
        values = [100 * one.metrics["set"] / samples for one in there]
    else:
        plain, _ = _references(study, "main")
        ours, theirs = (_spent(study, rounds, arm, claim.level).steps for arm in (prac, plain))
        values = [100 * (1 - steps / float(np.mean(theirs))) for steps in ours if theirs]
    found = figure(values) if len(values) >= REPLICATES else None
    interval = None
    if found is not None and found.low is not None and found.high is not None:
        interval = TwoSided(found.low, found.high)
    return ClaimRow(
        **claim.fields(), found=found,
        word=claim_word(claim.published, claim.tolerance, interval),
    )  # fmt: skip


def _overlaps(findings: Sequence[Finding]) -> list[OverlapRow]:
    groups: dict[tuple[str, int, str], list[Finding]] = {}
    for one in findings:
        other = str(one.of["with"])
        between = "seeds" if other.startswith("seed ") else other
        key = (str(one.of["recipe"]), int(one.of["level"]), between)
        groups.setdefault(key, []).append(one)
    return [
        OverlapRow(
            recipe=recipe, level=level, between=between, n=len(group),
            jaccard=metric(group, "jaccard").value, chance=metric(group, "chance").value,
            normalised=_defined(group, "normalised"), within=_defined(group, "normalised-within"),
        )
        for (recipe, level, between), group in groups.items()
    ]  # fmt: skip


def _defined(group: Sequence[Finding], name: str) -> float | None:
    """Return the mean of a metric, None unless it is defined for all."""
    values = [one.metrics[name] for one in group if name in one.metrics]
    return float(np.mean(values)) if len(values) == len(group) else None
