"""The page of a PrAC study."""

from collections.abc import Sequence
from pathlib import Path

from page_tables import failed, number, table
from scipy.stats import t as student

from lotterybench.studies import TicketStudy
from lotterybench.studies.figures import Figure, Gap
from lotterybench.studies.tickets_report import SavingRow, TicketRow, TicketsReport
from lotterybench.tracks import study

HEAD = """\
# {title}

Made by `python benchmark/derive/study_page.py {name}` from `reference_results/{name}/`. Every arm
finds masks in rounds of training and pruning, {share:.0%} of what is left each time; its tickets
are then trained on all {samples:,} training samples from the rewinding point, with the whole
schedule. Accuracies are those of the test split at the best validation epoch, means of {seeds}
seeds with two-sided 95 % t intervals. No two arms share a seed.

```bash
lotterybench run {name}
lotterybench score {name} --results out/results
```

Statements are about {networks}, trained for {epochs} epochs on this base. They say nothing of
larger bases, longer trainings or other networks, and {seeds} replicates are few: a difference of
{least:.1f} points would be seen about half of the time (by the mean sd of the tickets).
"""

TICKETS = """\
## What the tickets are worth

"To IMP" and "to stopped" are accuracy less that of IMP on all samples, without and with early
stopping, at the same level (95 % intervals). *Non-inferior*: both one-sided 95 % lower bounds are
above −{margin:g} points.
"""

SAVINGS = """\
## What the search costs

Until the masks of {sparsity:.2%} are found. *Steps* are the optimiser's, the paper's count;
*passes* are forward passes of an image, one of training being three, with validation and the look
at every sample that finds those forgotten by pruning. Savings are of IMP's and of early-stopped
IMP's mean.
A saving is quoted only where the ticket is non-inferior (protocol §10).
"""

ROUNDS = """\
## The sets, round by round

A round trains on "samples"; "next" is the set that it leaves, of hard samples (CET: forgotten in
training more often than the threshold) and of those that pruning makes forgotten (CEP: the class
predicted is another than the dense network's). "Settled" is the part of rounds that ended early.
"""

OVERLAPS = """\
## Do the sets agree?

The Jaccard index of two sets after a round, and what independent sets of their sizes have by
chance. *Normalised* is 0 by chance and 1 for equal sets; *within* allows each class its own share.
Pairs share sets, hence no intervals.
"""


def page_of(folder: Path) -> str:
    """Return the page of the report in a folder."""
    return page(TicketsReport.read((folder / "report.json").read_bytes(), str(folder)))


def page(report: TicketsReport) -> str:
    """Return the page's Markdown."""
    frozen = study[report.study]
    assert isinstance(frozen, TicketStudy)
    sds = [row.accuracy.sd for row in report.tickets if row.accuracy.sd is not None]
    main = frozen.recipes["main"]
    head = HEAD.format(
        title=frozen.title, name=frozen.name, share=frozen.pruning.share, samples=report.samples,
        seeds=report.seeds, epochs=main.epochs,
        networks=" and ".join(f"`{recipe.backbone}`" for recipe in frozen.recipes.values()),
        least=seen_half(sum(sds) / len(sds), report.seeds) if sds else float("nan"),
    )  # fmt: skip
    parts = [
        head, answer(report), TICKETS.format(margin=report.margin), tickets_table(report.tickets),
        SAVINGS.format(sparsity=1 - frozen.pruning.density(frozen.at)),
        savings_table(report.savings), ROUNDS, rounds_table(report), OVERLAPS,
        overlaps_table(report), *failed(report),
    ]  # fmt: skip
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def seen_half(sd: float, n: int) -> float:
    """Return the difference of two means of n that a t test at 5 % sees about half of the time."""
    return float(student.ppf(0.975, 2 * n - 2)) * sd * (2 / n) ** 0.5


def answer(report: TicketsReport) -> str:
    """Say what PrAC saves, and whether its ticket is as good."""
    saving = next(row for row in report.savings if row.arm == "prac")
    ticket = next(
        row for row in report.tickets
        if (row.arm, row.level, row.control) == ("prac", saving.level, "")
    )  # fmt: skip
    sets = [row for row in report.rounds if row.arm == "prac" and row.following is not None]
    last = sets[-1].following
    assert last is not None and ticket.to_imp is not None and ticket.to_stopped is not None
    of_stopped = saving.steps_saved_of_stopped
    word = "is non-inferior" if ticket.non_inferior else "is **not shown to be non-inferior**"
    return (
        f"**PrAC's masks of {saving.sparsity:.2%} take {percent(saving.steps_saved)} fewer steps "
        f"than IMP's, and {percent(of_stopped)} fewer than those of IMP with the same early "
        f"stopping.** The ticket {word}: {gap(ticket.to_imp)} points to IMP, "
        f"{gap(ticket.to_stopped)} to early-stopped IMP. Its last set has "
        f"{last.value / report.samples:.0%} of the training samples.\n"
    )


def tickets_table(rows: Sequence[TicketRow]) -> str:
    """Return accuracies and gaps, by level."""
    head = ["arm", "network", "pruned", "accuracy", "to IMP", "to stopped", "non-inferior"]
    lines = [
        [
            f"{row.arm} {row.control}".strip() + (" *" if row.pruned == "at the start" else ""),
            row.recipe, f"{row.sparsity:.1%}", figure(row.accuracy), gap(row.to_imp),
            gap(row.to_stopped),
            "–" if row.non_inferior is None else "yes" if row.non_inferior else "not shown",
        ]
        for row in sorted(rows, key=lambda row: (row.recipe != "main", row.recipe, row.level))
    ]  # fmt: skip
    return table(head, lines) + "\n\n\\* pruned once, before training (`dense`: not at all)\n"


def savings_table(rows: Sequence[SavingRow]) -> str:
    """Return costs and savings."""
    head = ["arm", "network", "steps", "passes", "steps saved", "of stopped", "passes saved",
            "of stopped", "quoted"]  # fmt: skip
    lines = [
        [
            row.arm, row.recipe, f"{row.steps.value:,.0f}", f"{row.passes.value:,.0f}",
            percent(row.steps_saved), percent(row.steps_saved_of_stopped),
            percent(row.passes_saved), percent(row.passes_saved_of_stopped),
            "yes" if row.quoted else "no",
        ]
        for row in rows
    ]  # fmt: skip
    return table(head, lines)


def rounds_table(report: TicketsReport) -> str:
    """Return the rounds of the arms that choose samples."""
    head = ["arm", "network", "round", "samples", "epochs", "settled", "next", "CET", "CEP"]
    lines = [
        [
            row.arm, row.recipe, row.level + 1, f"{row.samples.value:,.0f} ({row.share:.0%})",
            f"{row.epochs.value:.1f}", f"{row.settled:.0%}", *map(whole, (row.following, row.cet,
            row.cep)),
        ]
        for row in report.rounds
        if row.following is not None
    ]  # fmt: skip
    return table(head, lines)


def overlaps_table(report: TicketsReport) -> str:
    """Return the agreement of sets."""
    head = ["network", "after round", "with", "pairs", "Jaccard", "by chance", "normalised",
            "within classes"]  # fmt: skip
    lines = [
        [
            row.recipe, row.level, row.between, row.n, number(row.jaccard), number(row.chance),
            number(row.normalised), number(row.within),
        ]
        for row in report.overlaps
    ]  # fmt: skip
    return table(head, lines)


def figure(shown: Figure) -> str:
    """Write a mean with half of its interval."""
    if shown.low is None or shown.high is None:
        return f"{shown.value:.2f}"
    return f"{shown.value:.2f} ± {(shown.high - shown.low) / 2:.2f}"


def whole(shown: Figure | None) -> str:
    """Write a count's mean."""
    return "–" if shown is None else f"{shown.value:,.0f}"


def gap(shown: Gap | None) -> str:
    """Write a difference with its interval."""
    if shown is None:
        return "–"
    bounds = "" if shown.low is None else f" ({shown.low:+.1f} – {shown.high:+.1f})"
    return f"{shown.value:+.2f}{bounds}"


def percent(shown: Figure | None) -> str:
    """Write a part in per cent."""
    return "–" if shown is None else f"{shown.value:.1%}"
