"""The page of a study of pre-trained tickets."""

from collections.abc import Iterable
from pathlib import Path

from page_tables import bounded, number, table

from lotterybench.studies.pretrained import PretrainedStudy
from lotterybench.studies.pretrained_report import Ladder, PretrainedReport, Step
from lotterybench.tracks import study as studies

HEAD = """\
# {title}

Made by `python benchmark/derive/study_page.py {name}` from `reference_results/{name}/`; a
test compares. Networks ({backbone}) are pre-trained on a part of {base}, masks are found by
magnitude pruning in rounds on the pre-training task itself ("pretask") or on a target, always
going back to the pre-trained weights, and the tickets are then trained on targets. Pre-training,
mask finding, training and test images are disjoint by their keys. The first convolution and the
heads are not pruned. {seeds} seeds for each ticket, {dense} for dense networks, which are not
those of level 0.

```bash
lotterybench run {name}
```
"""

MATCH = """\
## Do tickets match the dense network?

Each row is one source of masks, from one initialisation, on one target. "k*" is the last level up
to which every one is non-inferior (protocol §10): the one-sided 95 % lower bound of the gap to the
dense networks, with a standard deviation pooled over levels, is above the margin, tested in order
from level 0. "power" is how often one such test finds a ticket that equals the dense network. By
the paper's rule a mean matches if it is within one standard deviation of the dense networks' mean;
"1 sd, all" is the last level up to which all do, "1 sd, last" the last that does at all, and
"equals pass" how often a ticket that equals the dense network would pass.
"""

LEVELS = """\
## Level by level

Mean in per cent over n seeds, the gap to the dense networks with its two-sided 95 % interval
(Welch), and the one-sided bound that is tested.
"""

UNIVERSAL = """\
## Masks for every target

The least level over all targets, of masks that were trained on each of them.
"""

PRETASK = """\
## On the pre-training task itself

What networks reach on test images after a round under a level's masks; level 0 is the pre-trained
network as it is. Retrieval: how often the nearest neighbour of a view, by the encoder's features,
is the other view of its image.
"""

OVERLAP = """\
## Do masks agree?

Jaccard index of what two masks keep, what chance would make it, and how far it is from chance (0)
to the same mask (1), with a 95 % interval over seeds. `@before` is the same source with the seed
before.
"""

KERNELS = """\
## Kernels without a weight

In per cent of all kernels of more than one weight.
"""

SENSITIVITY = """\
## Does the very mask matter?

Points that a perturbed mask loses against its ticket, from the same weights, head and order of
images, with a 95 % interval over seeds. `flip` changes the density, which is given; all others
keep it.
"""


def page_of(folder: Path) -> str:
    """Return the page of the report in a folder."""
    return page(PretrainedReport.read((folder / "report.json").read_bytes(), str(folder)))


def page(report: PretrainedReport) -> str:
    """Return the page's Markdown."""
    study = studies[report.study]
    assert isinstance(study, PretrainedStudy)
    head = HEAD.format(
        title=study.title, name=study.name, base=report.base, backbone=study.backbone,
        seeds=report.seeds, dense=report.dense,
    )  # fmt: skip
    parts = [head, answer(report), MATCH, matches(report.ladders)]
    if report.universal:
        parts += [UNIVERSAL, universals(report)]
    parts += [LEVELS, levels(report.ladders)]
    if report.pretasks:
        parts += [PRETASK, pretasks(report)]
    if report.sensitivities:
        parts += [SENSITIVITY, sensitivities(report)]
    if report.agreements:
        parts += [OVERLAP, agreements(report)]
    if report.kernels:
        parts += [KERNELS, kernels(report)]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def answer(report: PretrainedReport) -> str:
    """Say what is shown, and what is not."""
    lines = []
    untested = sorted({one.untested for one in report.ladders if one.untested})
    tested = [one for one in report.ladders if one.untested is None]
    if tested:
        past = sum(bool(one.holds_to) for one in tested)
        lines.append(
            f"**Of {len(tested)} sources of masks, {past} match the dense network beyond level 0.**"
        )
    if tested and not all(one.claim for one in tested):
        lines.append(f"{report.seeds} seeds allow a test and no claim (protocol §10 asks for 8).")
    lines += [f"**No match is claimed here: {reason}.**" for reason in untested]
    if report.weights == "one":
        lines.append(
            "Each pre-training was run once: what follows is about those weights, and not about "
            "the methods that made them."
        )
    lines.append(
        f"{report.findings:,} stages, of which {len(report.failed):,} failed; "
        f"{report.images:,} images were trained on."
    )
    return "\n\n".join(lines) + "\n"


def matches(ladders: Iterable[Ladder]) -> str:
    """Return one row for each ladder."""
    head = ["init", "mask", "target", "metric", "dense (sd, n)", "margin", "k*", "power",
            "1 sd, all", "1 sd, last", "equals pass"]  # fmt: skip
    rows = [
        [
            one.init, one.mask, one.target, one.metric,
            f"{number(one.dense_mean)} ({number(one.dense_sd)}, {one.dense_n})", one.margin,
            level(one.holds_to) if one.untested is None else "not tested", percent(one.power),
            level(one.within_to), level(one.within_last), percent(one.within_if_equal),
        ]
        for one in ladders
    ]  # fmt: skip
    return table(head, rows, text=4)


def levels(ladders: Iterable[Ladder]) -> str:
    """Return one row for each level of each ladder."""
    head = ["init", "mask", "target", "level", "left", "n", "mean", "sd", "gap", "bound",
            "non-inferior", "within 1 sd"]  # fmt: skip
    rows = [[one.init, one.mask, one.target, *_step(step)] for one in ladders for step in one.steps]
    return table(head, rows, text=3)


def _step(step: Step) -> list[object]:
    failed = f" ({step.failed} failed)" if step.failed else ""
    return [
        step.level, f"{step.density:.1%}", f"{step.n}{failed}", number(step.mean), number(step.sd),
        bounded(step.gap), number(step.bound), said(step.non_inferior), said(step.within_sd),
    ]  # fmt: skip


def universals(report: PretrainedReport) -> str:
    """Return the least levels over targets."""
    rows = [
        [one.init, one.mask, level(one.holds_to), level(one.within_to)] for one in report.universal
    ]
    return table(["init", "mask", "k*", "1 sd, all"], rows, text=2)


def pretasks(report: PretrainedReport) -> str:
    """Return what is left of the pre-training task at each level."""
    rows = [
        [one.init, one.level, bounded(one.retrieval), bounded(one.accuracy)]
        for one in report.pretasks
    ]
    return table(["init", "level", "retrieval", "accuracy"], rows)


def sensitivities(report: PretrainedReport) -> str:
    """Return what each perturbation costs."""
    rows = [
        [
            one.init, one.target, one.variant, one.level, f"{one.density:.1%}", bounded(one.lost),
            one.lost.n if one.lost else 0,
        ]
        for one in report.sensitivities
    ]  # fmt: skip
    return table(["init", "target", "variant", "level", "left", "points lost", "n"], rows, text=3)


def agreements(report: PretrainedReport) -> str:
    """Return the overlap of each pair of masks."""
    rows = [
        [
            f"`{one.first}`", f"`{one.second}`", one.level, number(one.jaccard),
            number(one.chance), bounded(one.normalised), one.normalised.n if one.normalised else 0,
        ]
        for one in report.agreements
    ]  # fmt: skip
    head = ["first", "second", "level", "Jaccard", "chance", "normalised", "n"]
    return table(head, rows, text=2)


def kernels(report: PretrainedReport) -> str:
    """Return how many kernels are gone."""
    rows = [[f"`{one.mask}`", one.level, bounded(one.zero), one.zero.n] for one in report.kernels]
    return table(["mask", "level", "gone", "n"], rows)


def level(value: int | None) -> str:
    """Write a level; none is reached where not even level 0 holds."""
    return "none" if value is None else str(value)


def percent(value: float | None) -> str:
    """Write a part of 1 in per cent."""
    return "–" if value is None else f"{value:.0%}"


def said(value: bool | None) -> str:
    """Write a verdict that may not have been reached."""
    return "–" if value is None else "yes" if value else "no"
