"""The page of a study of accelerated training; seconds are those of findings.timings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from acceleration_rankings import rankings
from page_tables import bounded, number, table

from lotterybench.paths import findings_file, timings_file
from lotterybench.run_study import read_findings
from lotterybench.studies.acceleration import FORMS, AccelerationStudy
from lotterybench.studies.acceleration_report import AccelerationReport, ArmRow, CurvePoint
from lotterybench.studies.base import Finding
from lotterybench.tracks import study
from lotterybench.trials import Timing

HEAD = """\
# {title}

Made by `python benchmark/derive/study_page.py {name}` from `reference_results/{name}/`. A
prior's frozen features, whitened on the training samples, are targets: for the first {share:.0%} of
the epochs a student's features are turned linearly into its images' targets under mild views (stage
1), then it is trained as its method is (stage 2). Accuracies are of the frozen encoder on all test
images, in per cent; the linear probe reads the labels of all {samples:,} training samples, whatever
share an arm was trained on. Bounds are two-sided 95 % t intervals over seeds (n), differences
paired by seed; p is after Holm over a method's rows of one table.

{trainings:,} trainings, {images:,} images in all; {seeds} seeds.{failures}
"""

CONTRASTS = """\
## Through what?

Linear accuracy of the first arm less the second's, in points: what one ingredient adds. Arms that
are not of full data train on a {primary:.0%} budget; "redrawn" draws other samples for every epoch.
"""

ARMS = """\
## Every arm

"Less full" is to the method on full data, "less same" to the method without targets on the same
samples, "less cost" to the method on full data for as many epochs as this training and its prior
cost. "Cost" is in forward passes, three for an image that is trained on, relative to full data:
without and with the prior, whose training counts in full where it is trained here. "Shown" is the
part of the samples that were shown at least once. The switch is the steps of stage 1, by seed.
"""

BUDGET = """\
## Accuracy by images and by time

k-NN on {queries:,} test images against {bank:,} training images, of the primary budget. Images
count each view; seconds are of one worker, looks at the test images included, and "with prior" adds
the prior's training and the pass that makes targets.
"""

PRIORS = """\
## Priors

What a prior's own frozen features are worth on the same samples, and what it costs relative to one
training of {method} on full data: in forward passes, and in seconds ("of a training"), in which
reading the images from disk is counted too. {weights}
"""

MAPS = """\
## Are representations linear in one another?

R² on test images of the least-squares map from the first prior's features to the second's; "white"
is on its whitened features, where each dimension counts the same; "shuffled" is a map that was
fitted to rows out of order.
"""

RATES = """\
## Learning rates

k-NN on a tenth of the training images that was held out, of the method without targets on the
primary budget; the chosen rate is that of all arms.
"""


class Named(NamedTuple):
    """A training as rows and findings name it."""

    method: str
    arm: str
    prior: str | None
    budget: float
    epochs: int


Seconds = Mapping[Named, float]


class Times(NamedTuple):
    """Mean seconds of trainings, of each prior, and of the pass that makes its targets."""

    of: Seconds
    priors: Mapping[str, float]
    targets: Mapping[str, float]

    def paid(self, prior: str) -> float:
        """Return what a prior and its targets took."""
        return self.priors.get(prior, 0.0) + self.targets.get(prior, 0.0)


def times_of(findings: Sequence[Finding], timings: Sequence[Timing]) -> Times:
    """Return the seconds that were measured, by what they were of."""
    took = {one.key: one.seconds for one in timings}
    trained: dict[Named, list[float]] = {}
    made: dict[str, dict[str, list[float]]] = {"prior": {}, "prior-targets": {}}
    for one in findings:
        if one.key not in took or one.status != "ok":
            continue
        if one.stage == "accelerated":
            trained.setdefault(_named(one), []).append(took[one.key])
        elif one.stage in made:
            made[one.stage].setdefault(one.arm, []).append(took[one.key])
    priors, targets = ({of: fmean(held) for of, held in each.items()} for each in made.values())
    return Times({of: fmean(held) for of, held in trained.items()}, priors, targets)


def _named(one: Finding) -> Named:
    prior = one.of.get("prior")
    return Named(
        str(one.of["method"]), one.arm, None if prior is None else str(prior),
        float(one.of["budget"]), int(one.of["epochs"]),
    )  # fmt: skip


def _name(row: ArmRow | CurvePoint) -> Named:
    return Named(row.method, row.arm, row.prior, row.budget, row.epochs)


def page_of(folder: Path) -> str:
    """Return the page of the report in a folder."""
    told = AccelerationReport.read((folder / "report.json").read_bytes(), str(folder))
    planned = study[told.study]
    assert isinstance(planned, AccelerationStudy)
    file = timings_file(findings_file(folder))
    lines = file.read_text().splitlines() if file.is_file() else []
    seconds = [Timing.read(line, str(file)) for line in lines]
    return page(planned, told, times_of(read_findings(folder), seconds))


def page(entry: AccelerationStudy, report: AccelerationReport, times: Times) -> str:
    """Return the page's Markdown."""
    weights = (
        "Each is one for all seeds: intervals are about these priors."
        if report.prior_seeds == "one"
        else "Each seed has its own."
    )
    parts = [
        head(entry, report), rankings(report), CONTRASTS.format(primary=entry.primary),
        contrasts(report), ARMS, arms(report),
        BUDGET.format(queries=entry.queries, bank=entry.bank), curves(entry, report, times),
        PRIORS.format(method=entry.methods[0].name, weights=weights), priors(report, times),
        MAPS, maps(report),
    ]  # fmt: skip
    if report.rates:
        parts += [RATES, rates(report)]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts if part)


def head(entry: AccelerationStudy, report: AccelerationReport) -> str:
    """Return what was done, and what may be said of it."""
    failed = f" {len(report.failed)} stages came to no result." if report.failed else ""
    text = HEAD.format(
        title=report.title, name=report.study, share=entry.share, samples=report.samples,
        trainings=report.trainings, images=report.images, seeds=report.seeds, failures=failed,
    )  # fmt: skip
    return text + "\n" + "\n".join(f"* {line}" for line in report.says) + "\n"


def contrasts(report: AccelerationReport) -> str:
    """Return what each ingredient adds."""
    rows = [
        [one.method, one.question, one.first, one.second, one.points.n, bounded(one.points),
         number(one.holm, 3)]
        for one in report.contrasts
    ]  # fmt: skip
    return table(["method", "question", "first", "less second", "n", "points", "p"], rows, 4)


def arms(report: AccelerationReport) -> str:
    """Return every arm with its differences and costs."""
    top = ["method", "arm", "prior", "budget", "epochs", "lr", "n", "linear", "k-NN", "less full",
           "p", "less same", "p", "less cost", "p", "cost", "with prior", "shown",
           "switch"]  # fmt: skip
    rows = [
        [
            row.method, row.arm, row.prior or "–", _budget(row), row.epochs, f"{row.lr:g}",
            row.linear.n, bounded(row.linear), bounded(row.knn), bounded(row.against_full),
            number(row.holm_full, 3), bounded(row.against_same), number(row.holm_same, 3),
            bounded(row.against_cost), number(row.holm_cost, 3), _relative(row, row.passes),
            _relative(row, row.with_prior), f"{row.shown.value:.1%}",
            ", ".join("never" if step is None else str(step) for step in row.switches) or "–",
        ]
        for row in report.arms
    ]  # fmt: skip
    return table(top, rows, 3)


def _budget(row: ArmRow) -> str:
    return "all" if FORMS[row.arm].data == "full" else f"{row.budget:.0%}"


def _relative(row: ArmRow, passes: float) -> str:
    if row.of_full is None:
        return "–"
    return f"{row.of_full * passes / row.with_prior:.3f}"


def curves(entry: AccelerationStudy, report: AccelerationReport, times: Times) -> str:
    """Return k-NN accuracy on the way, with what was spent until then."""
    top = ["method", "arm", "prior", "after", "images", "seconds", "with prior", "k-NN", "n"]
    rows = []
    for point in report.curves:
        if point.budget != entry.primary:
            continue
        seconds = times.of.get(_name(point))
        spent = None if seconds is None else seconds * point.after / point.epochs
        paid = point.prior if FORMS[point.arm].targets != "none" else None
        prior = times.paid(paid) if paid else 0.0
        rows.append(
            [
                point.method, point.arm, point.prior or "–", f"{point.after} of {point.epochs}",
                f"{point.images:,.0f}", number(spent, 1),
                number(None if spent is None else spent + prior, 1), bounded(point.knn),
                point.knn.n,
            ]
        )  # fmt: skip
    return table(top, rows, 3)


def priors(report: AccelerationReport, times: Times) -> str:
    """Return what priors are worth and cost; the last column is what targets take of a training."""
    full = [one for one in times.of if one.arm == "base-full"]
    whole = times.of[full[0]] if full else None
    rows = []
    for one in report.priors:
        took = times.targets.get(one.prior)
        part = None if took is None or whole is None else took / whole
        rows.append(
            [
                one.prior, one.how, bounded(one.linear), bounded(one.knn), one.dimension,
                number(one.of_full, 3), number(one.targets_of_full, 4),
                number(times.priors.get(one.prior), 1), number(took, 1), number(part, 4),
            ]
        )  # fmt: skip
    top = ["prior", "how", "linear", "k-NN", "dimensions", "training", "targets", "seconds",
           "seconds of targets", "of a training"]  # fmt: skip
    return table(top, rows, 2)


def maps(report: AccelerationReport) -> str:
    """Return R² between priors."""
    rows = [
        [one.first, one.second, number(one.r2.value, 3), number(one.whitened.value, 3),
         number(one.shuffled.value, 3), one.r2.n]
        for one in report.maps
    ]  # fmt: skip
    return table(["from", "to", "R²", "white", "shuffled", "n"], rows, 2)


def rates(report: AccelerationReport) -> str:
    """Return the rates that were tried."""
    rows = [
        [one.method, f"{one.lr:g}", f"{one.knn:.2f}", "yes" if one.chosen else ""]
        for one in report.rates
    ]
    return table(["method", "rate", "k-NN", "chosen"], rows)
