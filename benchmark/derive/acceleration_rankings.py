"""What the page of a study of accelerated training says of rankings, if it has any."""

from page_tables import table

from lotterybench.studies.acceleration_report import AccelerationReport, Range, RankGap, RankRow

RANKINGS = """\
## Does an arm rank methods as full data does?

τ-b and Spearman's ρ between the configurations' mean linear accuracy on full data and in the arm;
"all" is τ-b with the configurations that are not ranked because their family trained a prior.
Ceilings of τ-b: "repeat" is full data, and the arm, against itself on disjoint halves of its seeds,
"arm" a perfect proxy with this arm's noise. Bounds are one-sided 5 % and 95 %: of families, below
six of which there are none, and, as sensitivity only, of configurations and of configurations and
seeds. "Cost" is in forward passes of all trainings and, once, the prior, over full data's.
"""

GAPS = """\
The arm's τ-b less that of another arm, on the same configurations and resamples. "Equal cost" is
full data for as many epochs as the arm and its share of the prior cost.
"""


def rankings(report: AccelerationReport) -> str:
    """Return the tables of rankings, of their differences and of who is not ranked."""
    if not report.rankings:
        return ""
    top = ["arm", "prior", "budget", "configurations", "families", "seeds", "τ-b", "families",
           "configurations", "and seeds", "ρ", "all", "repeat", "arm", "τ-b / arm", "failed",
           "cost", "verdict"]  # fmt: skip
    parts = [RANKINGS, table(top, [_row(row) for row in report.rankings], 3)]
    gaps = [_gap(row, gap) for row in report.rankings for gap in row.against]
    if gaps:
        top = ["arm", "prior", "budget", "less", "configurations", "difference", "families",
               "configurations", "equal cost"]  # fmt: skip
        parts += [GAPS, table(top, gaps, 4)]
    if report.unranked:
        parts.append("Not ranked:\n")
        parts.append("\n".join(f"* {name}: {why}" for name, why in report.unranked.items()))
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def _row(row: RankRow) -> list[object]:
    return [
        row.arm, row.prior or "–", f"{row.budget:.0%}", row.n, row.groups,
        f"{row.seeds_full} + {row.seeds}", _number(row.tau), _range(row.families),
        _range(row.configurations), _range(row.two_level), _number(row.rho), _number(row.tau_all),
        f"{_number(row.repeat_full)}, {_number(row.repeat_arm)}", _number(row.arm_ceiling),
        _number(row.ratio), row.failures, f"{row.cost:.3f}", row.verdict,
    ]  # fmt: skip


def _gap(row: RankRow, gap: RankGap) -> list[object]:
    difference = "undefined" if gap.difference is None else f"{gap.difference:+.2f}"
    return [
        row.arm, row.prior or "–", f"{row.budget:.0%}", gap.arm, gap.n, difference,
        _range(gap.families), _range(gap.configurations), "yes" if gap.equal_cost else "",
    ]  # fmt: skip


def _range(bounds: Range | None) -> str:
    return "–" if bounds is None else f"{bounds.low:.2f} – {bounds.high:.2f}"


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.2f}"
