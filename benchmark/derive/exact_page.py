"""Writes docs/digits-exact.md from the committed report of the enumeration.

lotterybench score digits-exact --json > reference_results/digits-exact/report.json
python benchmark/derive/exact_page.py
"""

from collections.abc import Sequence
from pathlib import Path

from page_tables import table

from lotterybench.enumerations import ExactCount, ExactReport
from lotterybench.estimates import Estimate, Frontier
from lotterybench.tracks import find_track

ROOT = Path(__file__).parents[2]
REPORT = ROOT / "reference_results" / "digits-exact" / "report.json"
PAGE = ROOT / "docs" / "digits-exact.md"
SCHEMES = {"best": "take the best", "three": "promote three", "halving": "halve"}

HEAD = """\
# Every class subset of digits

Made by `python benchmark/derive/exact_page.py` from `reference_results/digits-exact/`; a test
compares. The track [`digits-exact`](protocol.md#8-verdicts) trains {pool} configurations of
{families} families (six small networks × three losses, three learning rates each) on *every*
subset of 2 to 9 of the ten digits, so that nothing about the subsets is sampled. A seed redraws
the folds, the start and the order; three seeds test each of the 1,797 images once. On full data
there are {full} seeds.

```bash
lotterybench run digits-exact --classes 5      # the 252 subsets of five classes
lotterybench run digits-exact                  # all 1,012
lotterybench score digits-exact --results out/results
```

Statements are about these networks, trained for five passes, on this small set of images. They say
nothing of larger bases or of other subsets than those of classes.
"""

COUNTS = """\
## How well subsets rank

τ-b between mean accuracies on all ten classes and on the subset's own. "mean τ" has 5 % – 95 %
bounds over families; "subsets" is the 5th to 95th percentile over subsets; "control" is full data
trained for as many steps. The ceilings are what a perfect proxy with this noise would reach (arm),
what full data reach against themselves with other seeds (repeat), and with other test images
(item). Rows of more seeds have less noise: compare τ with its arm ceiling, not across such rows.
"""

EXISTENCE = """\
## Is there a ticket?

A dataset lottery ticket exists at a size if the simultaneous 95 % lower bound of at least one
subset exceeds both the population's mean and 0.7 (protocol §8). "Sure of 0.7" and "sure of more
than the mean" count subsets by simultaneous bounds, "may be best" is the size of the 95 %
confidence set for the best subset. Verdicts are after Holm over the subsets of a size: faithful
(τ ≥ 0.7 and no worse than the control by 0.1), ticket (better than the control), refuted (τ below
0.7). No verdict (–) where q, the sd of a seed over that of methods, is above 0.35 and there are
fewer than five seeds (protocol §2).
"""

CHOOSING = """\
## Does choosing the best subset help?

The subset with the largest τ on half of the families and seeds, judged on the other families with
other seeds (20 splits, both ways). "Gain" is over a subset taken at random; "percentile" is the
share of all subsets that it beats there. Split-half correlations say whether the subsets' order is
more than noise: over seeds 0.9 is asked for; "overlap" is the share of the best tenth by half of
the seeds that is in the best tenth by the others (0.1 by chance).
"""

WHY = """\
## Training or testing on fewer classes?

*Evaluation only*: networks trained on all classes, tested on the subset's with the other logits
left out, ranked against full scores of other seeds. *Disjoint*: the subset's own scores against
those of networks trained on all classes and tested on the remaining ones. What evaluation alone
loses is due to the test; the rest of the way to "trained on the subset" is due to training.
"predicts" is the correlation, over subsets, of the first with the third. A classifier of some
classes cannot be tested on all, so that cell does not exist.
"""

FRONTIER = """\
## What else the same compute buys

Cost is the pool's training compute over that on full data (steps × operations). "Lost" are
full-data points lost by taking the proxy's best configuration, of winners valued on other seeds.
Random subsets are the mean over all of their size. Every proxy has three seeds here.
"""

DECISION = """\
## Choosing among methods

Points lost by choosing with a proxy, at what it spends in runs on full data (all of the pool on
full data: {pool}). *Promote three* compares the proxy's three best on full data; *halve* keeps the
better half on proxies of growing cost.
"""


def page(report: ExactReport) -> str:
    """Return the page's Markdown."""
    counts, track = report.counts, find_track(report.track)
    head = HEAD.format(
        pool=counts[0].configurations, families=counts[0].families, full=track.seeds.full
    )
    parts = [
        head, answer(counts), COUNTS, counts_table(counts), EXISTENCE, best_table(counts),
        CHOOSING, choosing_table(counts), WHY, why_table(counts), FRONTIER,
        frontier_table(report.frontier), reaches(report.frontier),
        DECISION.format(pool=counts[0].configurations), decision_table(report.frontier),
    ]  # fmt: skip
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def answer(counts: Sequence[ExactCount]) -> str:
    """Say at which sizes a ticket exists, and how sure the order of subsets is."""
    there = [count for count in counts if count.best and count.best.exists]
    sizes = ", ".join(str(count.classes) for count in there)
    total = sum(count.subsets for count in counts)
    verb = f"Yes, with {sizes} classes" if there else "No, at no size"
    judged = [count for count in counts if count.tickets is not None]
    tickets = sum(count.tickets or 0 for count in judged)
    lines = [
        f"**Is there a class subset that surely ranks these methods better than the mean of its "
        f"size, and above 0.7? {verb}, among {total:,} subsets.** Of the "
        f"{sum(count.subsets for count in judged):,} with a verdict, {tickets} are tickets."
    ]
    doubtful = [count for count in counts if not count.reliable]
    if doubtful:
        each = "; ".join(
            f"{count.classes} classes {number(count.reliability)} with {count.seeds} seeds"
            + needs(count)
            for count in doubtful
        )
        lines.append(
            "The order of the subsets of a size is not known to the reliability of 0.9 that the "
            f"protocol asks for: {each}. What is said of single subsets is bounded accordingly."
        )
    return "\n\n".join(lines) + "\n"


def needs(count: ExactCount) -> str:
    """Say how many seeds the reliability asks for, where that can be told."""
    return f" (0.9 would need about {count.seeds_needed})" if count.seeds_needed else ""


def counts_table(counts: Sequence[ExactCount]) -> str:
    """Return τ by number of classes."""
    head = ["classes", "subsets", "seeds", "mean τ", "subsets", "extremes", "τ ≥ 0.7", "control",
            "τ less control", "arm", "repeat", "item"]  # fmt: skip
    rows = [
        [
            c.classes, c.subsets, c.seeds, estimate(c.tau), f"{c.low:.2f} – {c.high:.2f}",
            f"{c.lowest:.2f}, {c.highest:.2f}", f"{c.above:.0%}", estimate(c.control),
            estimate(c.difference), number(c.arm_ceiling), number(c.repeat_ceiling),
            number(c.item_ceiling),
        ]
        for c in counts
    ]  # fmt: skip
    return table(head, rows)


def best_table(counts: Sequence[ExactCount]) -> str:
    """Return what is sure of single subsets."""
    head = ["classes", "best", "its τ", "surely", "may be best", "sure of 0.7",
            "sure of more than the mean", "exists", "faithful", "tickets", "refuted"]  # fmt: skip
    rows = [
        [
            c.classes, " ".join(c.best.classes), f"{c.best.tau:.2f}", f"{c.best.low:.2f}",
            f"{c.best.contenders} of {c.subsets}", c.best.above_level, c.best.above_mean,
            "yes" if c.best.exists else "no",
            *("–" if n is None else n for n in (c.faithful, c.tickets, c.refuted)),
        ]
        for c in counts
        if c.best
    ]  # fmt: skip
    return table(head, rows)


def choosing_table(counts: Sequence[ExactCount]) -> str:
    """Return what the procedure is worth, and the split-half correlations."""
    head = ["classes", "where it was chosen", "on others", "at random", "gain", "percentile",
            "split-half (seeds)", "split-half (families)", "overlap"]  # fmt: skip
    rows = []
    for c in counts:
        how = c.procedure
        if how is None or how.gain is None or how.percentile is None:
            continue
        gain = estimate(Estimate(value=how.gain, interval=how.gain_interval))
        rows.append(
            [
                c.classes, number(how.in_sample), number(how.tau), number(how.population), gain,
                f"{how.percentile:.0%}", number(c.reliability), number(c.across_families),
                number(c.retest),
            ]
        )  # fmt: skip
    return table(head, rows)


def why_table(counts: Sequence[ExactCount]) -> str:
    """Return the rows of protocol §7."""
    head = ["classes", "evaluation only", "trained on the subset", "disjoint", "predicts"]
    rows = [
        [
            c.classes, number(c.evaluation.evaluation_only.mean), number(c.tau.value),
            number(c.evaluation.disjoint.mean) if c.evaluation.disjoint else "–",
            number(c.evaluation.predicts),
        ]
        for c in counts
        if c.evaluation
    ]  # fmt: skip
    return table(head, rows)


def frontier_table(found: Frontier) -> str:
    """Return τ and points lost against cost."""
    rows = [
        [f"{p.kind}: {p.name}", f"{p.cost:.0%}", estimate(p.tau), estimate(p.lost)]
        for p in found.points
    ]
    return table(["proxy", "cost", "τ", "points lost"], rows)


def reaches(found: Frontier) -> str:
    """Say at which cost each kind surely reaches 0.7."""
    kinds = sorted({point.kind for point in found.points})
    said = [
        f"{kind} at {found.reaches[kind]:.0%}" if kind in found.reaches else f"{kind} never"
        for kind in kinds
    ]
    return "The lower bound of τ reaches 0.7: " + ", ".join(said) + ".\n"


def decision_table(found: Frontier) -> str:
    """Return points lost by scheme, at growing spend."""
    rows = [
        [f"{SCHEMES[c.scheme]}, {c.kind}: {', '.join(c.names)}", f"{c.spend:.1f}", estimate(c.lost)]
        for c in sorted(found.choices, key=lambda c: c.spend)
    ]
    return table(["choice", "spend", "points lost"], rows)


def estimate(shown: Estimate | None) -> str:
    """Write a figure with its bounds."""
    if shown is None:
        return "–"
    bounds = shown.interval
    beside = f" ({bounds.low:.2f} – {bounds.high:.2f})" if bounds else ""
    return f"{shown.value:.2f}{beside}"


def number(value: float | None) -> str:
    """Write a figure that may be undefined."""
    return "–" if value is None else f"{value:.2f}"


if __name__ == "__main__":
    report = ExactReport.read(REPORT.read_bytes(), str(REPORT))
    PAGE.write_text(page(report), encoding="utf-8")
