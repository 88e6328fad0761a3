"""The page of a transfer study."""

from pathlib import Path
from statistics import fmean

from page_tables import bounded, number, table
from scipy.stats import t as student

from lotterybench.studies.transfer import TransferStudy
from lotterybench.studies.transfer_report import MaskOverlap, TransferReport
from lotterybench.tracks import study

HEAD = """\
# {title}

Made by `python benchmark/derive/study_page.py {name}` from `reference_results/{name}/`. A ticket
is found on a source by pruning in rounds, and trained on a target: the encoder as it was after
{rewind} of a source's epochs, under the ticket's masks, with a new head and norms that have seen
nothing, by the target's whole schedule. What is trained on a target at one level and seed has the
same recipe, head, order, augmentation and number of weights, whatever the source. Accuracies are in
per cent on test images after the last epoch; bounds are two-sided 95 % t intervals over seeds (n),
each of which counts once, however many cells it has.

{trainings:,} trainings ({images:,} images) of `{backbone}`; levels {levels} keep {densities} of the
prunable weights.{failures}

What is *not* shown: other networks, other bases, and longer trainings. Intervals are not corrected
for the number of rows: the first table is what the study is about, all others say where to look.
{wide}
"""

POOLED = """\
## Do tickets transfer?

Over all targets but the source's own, all levels, found and trained by one optimiser. "Less random"
is accuracy less that of random masks which keep as many weights of each tensor as the target's
native ticket, on new weights; "less native" is less that ticket itself. "Normalised" is the median
of (ticket − random) / (native − random) over cells where native − random is at least 2 standard
errors; it is undefined in the others.
"""

CONTRASTS = """\
## Size, classes and updates

Differences between two sources' tickets, in points, over the cells that both have. Of a smaller
source, "updates" compares as many updates as the larger has with as many epochs.
"""

TRENDS = "Spearman's ρ of \"less random\" with the source's size, and with its classes: {said}.\n"

OPTIMISERS = """\
## Optimisers

Tickets found with one optimiser (rows) and trained by another, over the plain sources' transfers:
accuracy less that of random masks.
"""

RANKING = """\
## Do targets agree on the best source?

Mean rank of the plain sources over {n} targets ({targets}), native tickets among them. Kendall's W
is {w}; by chance it is {chance:.2f} on average.
"""

CONTROLS = """\
## Native tickets and what they are compared with

Native ticket less control, over targets, optimisers and levels. "random" and "permuted" masks have
the ticket's density in each tensor, and differ by their draw alone; "shuffled" ones have it in all
tensors together; "reinitialised" has the ticket's masks on new weights; "small" is a dense network
of the same kind, of the width whose count is nearest. "Weights" are relative to the ticket's;
"collapsed" counts trainings in which a tensor had none left.
"""

OVERLAPS = """\
## Do sources find the same weights?

Masks of sources that started from the same weights, at level {level}. Jaccard index, what chance
gives with each tensor's densities, and the part of the way from there to identity: means over
pairs of sources, and the extreme pairs.
"""


def page_of(folder: Path) -> str:
    """Return the page of the report in a folder."""
    told = TransferReport.read((folder / "report.json").read_bytes(), str(folder))
    planned = study[told.study]
    assert isinstance(planned, TransferStudy)
    return page(planned, told)


def page(entry: TransferStudy, report: TransferReport) -> str:
    """Return the page's Markdown."""
    parts = [
        head(entry, report), POOLED, pooled_table(report), CONTRASTS, contrasts_table(report),
        TRENDS.format(said=trends(report)), OPTIMISERS, optimisers_table(entry, report),
    ]  # fmt: skip
    if report.ranking is not None:
        found = report.ranking
        told = RANKING.format(
            n=len(found.targets), targets=", ".join(found.targets), w=number(found.w),
            chance=1 / len(found.targets),
        )  # fmt: skip
        rows = [[place.source, f"{place.rank:.2f}"] for place in found.places]
        parts += [told, table(["source", "mean rank"], rows)]
    parts += [CONTROLS, controls_table(report)]
    if report.overlaps:
        parts += [OVERLAPS.format(level=deepest(report)), overlaps_table(report)]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def head(entry: TransferStudy, report: TransferReport) -> str:
    """Return what was done, and what is not shown."""
    failed = f" {len(report.failed)} stages came to no result." if report.failed else ""
    return HEAD.format(
        title=report.title, name=report.study, rewind=entry.pruning.rewind, seeds=report.seeds,
        trainings=report.trainings, images=report.images, failures=failed,
        backbone=next(iter(entry.recipes.values())).backbone,
        levels=", ".join(map(str, entry.levels)),
        densities=", ".join(f"{entry.pruning.density(level):.1%}" for level in entry.levels),
        wide=width(report.seeds),
    )  # fmt: skip


def width(seeds: int) -> str:
    """Say how wide intervals are of so many seeds."""
    if seeds < 2:
        return "One seed has no interval."
    quantile = float(student.ppf(0.975, seeds - 1))
    return f"With {seeds} seeds an interval is {quantile:.1f} standard errors wide on each side."


def pooled_table(report: TransferReport) -> str:
    """Return the primary table, with what each source trained on."""
    top = ["source", "samples", "classes", "updates", "cells", "n", "less random", "less native",
           "normalised", "undefined"]  # fmt: skip
    facts = {fact.source: fact for fact in report.sources}
    rows = []
    for one in report.pooled:
        if one.cells == 0:
            continue
        fact = facts[one.source]
        rows.append(
            [
                one.source, fact.samples, fact.classes, fact.updates, one.cells,
                one.against_random.n if one.against_random else 0, bounded(one.against_random),
                bounded(one.against_native), number(one.normalised), one.undefined,
            ]
        )  # fmt: skip
    return table(top, rows)


def contrasts_table(report: TransferReport) -> str:
    """Return pairs of sources that differ in one thing."""
    rows = [
        [one.question, one.first, one.second, one.cells, one.difference.n if one.difference else 0,
         bounded(one.difference)]
        for one in report.contrasts
    ]  # fmt: skip
    return table(["differs in", "first", "less second", "cells", "n", "points"], rows)


def trends(report: TransferReport) -> str:
    """Say each correlation with its n and caution."""
    return "; ".join(
        f"{one.of} {number(one.rho)}, n = {one.n}" + (f" ({one.caution})" if one.caution else "")
        for one in report.trends
    )


def optimisers_table(entry: TransferStudy, report: TransferReport) -> str:
    """Return the matrix of optimisers."""
    cells = {(one.found, one.by): bounded(one.against_random) for one in report.optimisers}
    rows = [[found, *(cells[found, by] for by in entry.recipes)] for found in entry.recipes]
    return table(["found with", *(f"trained by {by}" for by in entry.recipes)], rows)


def controls_table(report: TransferReport) -> str:
    """Return native tickets less each control."""
    rows = [
        [
            one.control, one.cells, one.native_less.n if one.native_less else 0,
            bounded(one.native_less), number(one.relative),
            f"{one.collapsed} of {one.trainings}",
        ]
        for one in report.controls
    ]  # fmt: skip
    return table(["control", "cells", "n", "native less it", "weights", "collapsed"], rows)


def overlaps_table(report: TransferReport) -> str:
    """Return the overlaps of the deepest level, pairs of sources together by their optimisers."""
    groups: dict[str, list[MaskOverlap]] = {}
    for one in report.overlaps:
        if one.level == deepest(report) and one.normalised and one.jaccard:
            name = f"two sources, both {one.first_found}"
            if one.first == one.second:
                name = f"one source, {one.first_found} and {one.second_found}"
            groups.setdefault(name, []).append(one)
    rows = []
    for name, group in groups.items():
        above = [one.normalised.value for one in group if one.normalised]
        jaccard = [one.jaccard.value for one in group if one.jaccard]
        chance = [one.chance for one in group if one.chance is not None]
        rows.append(
            [
                name, len(group), group[0].normalised.n if group[0].normalised else 0,
                number(fmean(jaccard)), number(fmean(chance)), number(fmean(above)),
                f"{min(above):.2f} – {max(above):.2f}",
            ]
        )  # fmt: skip
    return table(["masks", "pairs", "n", "Jaccard", "chance", "above chance", "of pairs"], rows)


def deepest(report: TransferReport) -> int:
    """Return the level with the fewest weights."""
    return max(one.level for one in report.overlaps)
