"""The page of the study: tables and what they say, from its figures alone."""

from collections.abc import Iterable, Sequence
from typing import Any

Rows = list[dict[str, Any]]
NOMINAL = 0.95
HEADLINE = "τ, families (headline)"

INTRODUCTION = """\
# What the statistics are worth

Written by `benchmark/power/study.py`; every figure is in `benchmark/power/study.json`. Pools are
simulated, so that the truth is known: methods' true scores are Gaussian with sd 1, in families of
3 that share a half of the variance ("shared", 0 to 1) unless a row says otherwise; a seed has sd
q on full data / on the subset. "τ" of a setting is between *noise-free* scores of full data and
the subset, whose difference families share too. Unless said otherwise there are 6 seeds on full
data and 3 on a subset, and the control has a noise-free τ of 0.7. Real pools are not Gaussian,
their seeds not all equally noisy and their families not all alike: read this as the best case.
"""

COVERAGE = """\
## Intervals

Bounds are one-sided 5 % and 95 % percentiles, so each should lie on the right side of the truth in
0.95 of new pools. The truth is the expectation of the statistic for new families under the same
seeds (protocol §3), from 6,000 pools (2,000 for trends, the 200 runs themselves for the
procedure); for τ over the arm ceiling it is that expectation over the exact ceiling. The table
gives the least and the largest share over the settings; a share has a standard error of about
0.011 (0.015 for the procedure), and bootstraps take 1,000 draws.
"""

HEADLINES = """\
The headline by setting; `width` is the median distance of the bounds.
"""

NULL = """\
## Tests against random subsets

Shares of runs that reject at 0.05, of a pool of 12 × 3 with q 0.1/0.25. Where the gain is 0 the
selected subsets are random ones too, so the share is the size: nominally at most 0.05, for "Holm
over 5" the chance that any of five is called better. "≥ 95th percentile" is the rule that the rank
p replaces.
"""

VERDICTS = """\
## Verdicts

Shares of simulated tracks that end in each verdict, by the subset's noise-free τ; control and
random subsets have 0.6, B = 20, one selected subset. `ticket` is part of `faithful`. The 0.7 of
the verdict is of the τ that is observed, with its seed noise, so a noise-free τ of 0.7 lies below.
A row at τ 1 is the power that protocol §2 asks about (a perfect proxy): below 0.80 the track is
descriptive.
"""

SIZES = """\
What a noise-free τ of 0.9 needs to be called faithful with 80 % power, configurations being added
before seeds; the control's τ is noise-free too.
"""

TOGETHER = """\
## All subsets at once

What the report of an enumeration says of all subsets of a size, on 18 families × 3 with 36 + 3
seeds, over {runs} pools each. "Bounds" is how often all simultaneous 95 % lower bounds are right,
of τ and of what a subset adds to the mean; "better" how often any subset is called better than the
mean and 0.7. The last column is by how much the best observed τ exceeds the best true one.
"""

APPENDIX = """\
## The protocol's appendix

The same questions, simulated anew. Where the protocol's simulation is not described in full (how
much families share, how the 60 candidates differ, what upsets a configuration), the setting is
ours.
"""


def page(found: dict[str, Rows]) -> str:
    """Return the page's Markdown."""
    parts = [
        INTRODUCTION, COVERAGE, coverage_table(found["coverage"]), said_of(found["coverage"]),
        HEADLINES, headline_table(found["coverage"]), NULL, null_table(found["null"]),
        said_of_null(found["null"]), VERDICTS, verdict_table(found["verdicts"]), SIZES,
        size_table(found["sizes"]), TOGETHER.format(runs=200),
        together_table(found["together"]), APPENDIX, appendix_table(found["appendix"]),
        said_of_appendix(found["appendix"]),
    ]  # fmt: skip
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table, the first column to the left."""
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def names(rows: Rows) -> list[str]:
    """Return the intervals in their order."""
    return list(dict.fromkeys(row["interval"] for row in rows))


def span(values: Iterable[float]) -> str:
    """Write the least and the largest of shares."""
    found = sorted(values)
    both = f"{found[0]:.2f}", f"{found[-1]:.2f}"
    return both[0] if both[0] == both[1] else f"{both[0]} – {both[1]}"


def coverage_table(rows: Rows) -> str:
    """Return the spans of coverage by interval."""
    lines = []
    for name in names(rows):
        own = [row for row in rows if row["interval"] == name]
        lower, upper = (span(row[side] for row in own) for side in ("lower", "upper"))
        lines.append([name, lower, upper, len(own)])
    return table(["interval", "lower bound", "upper bound", "settings"], lines)


def said_of(rows: Rows) -> str:
    """Say which bounds fall short of 0.95 by more than two standard errors."""
    lines = []
    for name in names(rows):
        for side in ("lower", "upper"):
            short = [row for row in rows if row["interval"] == name and falls_short(row, side)]
            if short:
                worst = min(short, key=lambda row: row[side])
                lines.append(
                    f"* {name}, {side} bound, in {len(short)} of the settings; least "
                    f"{worst[side]:.3f} at {worst['setting']}."
                )
    if not lines:
        return "No bound falls short of 0.95 by more than two standard errors."
    start = "Bounds that fall short of 0.95 by more than two standard errors:"
    return "\n".join([start, "", *lines])


def falls_short(row: dict[str, Any], side: str) -> bool:
    """Say whether a share is below nominal by more than two of its standard errors."""
    return bool(row[side] < NOMINAL - 2 * (NOMINAL * (1 - NOMINAL) / row["runs"]) ** 0.5)


def headline_table(rows: Rows) -> str:
    """Return the headline's coverage by setting."""
    own = [row for row in rows if row["interval"] == HEADLINE]
    keys = ("setting", "truth", "lower", "upper", "width")
    return table(["setting", "expected τ", "lower", "upper", "width"], pick(own, keys))


def pick(rows: Rows, keys: Sequence[str]) -> list[list[object]]:
    """Return some fields of every row."""
    return [[row[key] for key in keys] for row in rows]


def tests(row: dict[str, Any]) -> list[str]:
    """Return the names of a row's tests."""
    return [key for key, value in row.items() if isinstance(value, dict)]


def null_table(rows: Rows) -> str:
    """Return size and power of the tests."""
    kinds = tests(rows[0])
    lines = [
        [
            f"{row['random']:g}", row["B"], f"{row['gain']:g}",
            *(f"{row[kind]['share']:.3f}" for kind in kinds),
        ]
        for row in rows
    ]  # fmt: skip
    return table(["random subsets' τ", "B", "gain", *kinds], lines)


def said_of_null(rows: Rows) -> str:
    """Say which tests reject too often."""
    found = []
    for kind in tests(rows[0]):
        sizes = [row[kind]["share"] for row in rows if row["gain"] == 0]
        noise = 2 * (0.05 * 0.95 / rows[0]["runs"]) ** 0.5
        if max(sizes) > 0.05 + noise:
            found.append(f"{kind} ({span_exact(sizes)})")
    if not found:
        return "No test rejects more often than 0.05 beyond two standard errors."
    return (
        "More often than 0.05 by more than two standard errors somewhere: " + "; ".join(found)
        + ". τ near 1 is skewed even as atanh τ, which a t test does not know; the rank p is exact "
        "at any τ."
    )  # fmt: skip


def span_exact(values: Sequence[float]) -> str:
    """Write the least and the largest with three digits."""
    return f"{min(values):.3f} – {max(values):.3f}"


def verdict_table(rows: Rows) -> str:
    """Return the shares of verdicts."""
    lines = [
        [f"{row['families']} × 3, q {row['q_full']:g}/{row['q_subset']:g}", f"{row['tau']:g}",
         *(f"{row[word]:.2f}" for word in ("faithful", "ticket", "refuted", "undecided"))]
        for row in rows
    ]  # fmt: skip
    return table(["pool", "τ", "faithful", "ticket", "refuted", "undecided"], lines)


def size_table(rows: Rows) -> str:
    """Return what is needed by q and control."""
    lines = []
    for row in rows:
        size = row["needed"]
        text = ["none of up to 120", "", ""] if size is None else [
            f"{size['configurations']} of {size['families']} families",
            f"{size['seeds_full']} + {size['seeds_subset']}", f"{size['power']:.2f}",
        ]  # fmt: skip
        lines.append([f"{row['q_full']:g}/{row['q_subset']:g}", f"{row['control']:g}", *text])
    return table(["q", "control's τ", "configurations", "seeds", "power"], lines)


def together_table(rows: Rows) -> str:
    """Return how often statements about a whole population are true."""
    keys = ("bounds of τ", "bounds of the gain", "the best is in its set", "called better")
    lines = [
        [
            row["population"], f"{row['expected τ']:.2f}",
            *(f"{row[key]['share']:.2f}" for key in keys[:3]), f"{row['size of the set']:.2f}",
            f"{row[keys[3]]['share']:.2f}", f"{row['observed best less true best']:+.2f}",
        ]
        for row in rows
    ]  # fmt: skip
    head = ["population", "expected τ", "bounds of τ", "of the gain", "best in its set",
            "size of the set", "better", "excess"]  # fmt: skip
    return table(head, lines)


def appendix_table(rows: Rows) -> str:
    """Return the appendix beside what is found here."""
    lines = [[r["question"], r["setting"], r["protocol"], f"{r['found']:.3f}"] for r in rows]
    return table(["question", "setting", "protocol", "here"], lines)


def said_of_appendix(rows: Rows) -> str:
    """Say where the figures differ from the protocol's by more than 0.05."""
    apart = [row for row in rows if distance(row) > 0.05]
    if not apart:
        return "No figure differs from the protocol's by more than 0.05."
    lines = [
        f"* {r['question']}; {r['setting']}: {r['found']:.3f}, not {r['protocol']}." for r in apart
    ]
    start = f"{len(apart)} of {len(rows)} figures differ from the protocol's by more than 0.05:"
    end = (
        "How much families share decides the family bootstrap's power: with more sharing there are "
        "fewer independent methods. The protocol's figures fit a sharing of 0 to 0.5."
    )
    return "\n".join([start, "", *lines, "", end])


def distance(row: dict[str, Any]) -> float:
    """Return how far a figure lies outside what the protocol says."""
    said = row["protocol"].split("(")[0].replace("+", "").strip().split("–")
    low, high = float(said[0]), float(said[-1])
    return max(low - row["found"], row["found"] - high, 0.0)
