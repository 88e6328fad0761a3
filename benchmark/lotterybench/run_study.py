"""Running a study: its stages that are not done are carried out, and their findings gathered."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lotterybench.errors import BadRequest, BadResults
from lotterybench.executors.devices import choose_device
from lotterybench.kinds.stages import Stage, carry_out_stages, left_of
from lotterybench.kinds.stages.artefact import done_of
from lotterybench.kinds.stages.graph import Terms
from lotterybench.kinds.studies import planner
from lotterybench.manifests import find_base
from lotterybench.paths import findings_file, stages_folder, study_file, timings_file
from lotterybench.progress import bar
from lotterybench.records import SPLITS
from lotterybench.sources import images
from lotterybench.storage import locked, write_whole
from lotterybench.studies import Finding, Study
from lotterybench.trials import Timing


@dataclass(frozen=True)
class StudySummary:
    """What one call did: stages planned, found done, done now, by status."""

    folder: Path
    planned: int
    before: int
    statuses: dict[str, int]


def planned_stages(study: Study, seeds: int | None = None) -> list[Stage]:
    """Return all stages of a study, in an order in which needs come first."""
    if seeds is not None and seeds < 1:
        raise BadRequest(f"{seeds} seeds were asked for; at least 1 is needed")
    base, _ = find_base(study.base)
    stages: list[Stage] = planner[study.kind](study, base, seeds)
    return stages


def run_study(
    study: Study, out: Path, *, seeds: int | None = None, device: str = "auto",
    jobs: int | None = None, every: float = 60.0,
) -> StudySummary:  # fmt: skip
    """Carry out what is left of a study in `out/<study>/`, and write its findings.

    May be interrupted in any way and repeated: a training goes on from its last checkpoint, of
    which one is written about every `every` seconds, and ends with the same bytes on a CPU.
    PrAC sets are saved as manifests in `subsets/` there, each once its round is done.
    Raises `Busy` if another process is at work there.
    """
    from lotterybench.kinds.tickets.exported import export  # it imports torch

    base, _ = find_base(study.base)
    stages = planned_stages(study, seeds)
    folder = out / study.name
    with locked(findings_file(folder)):
        _freeze(study, folder)
        root = stages_folder(folder)
        left = left_of(stages, root)
        for split in SPLITS:  # so that workers find the decoded base in the cache
            images(study.base, split)
        terms = Terms(study, base.digest, root, choose_device(device), every)
        waiting = {stage.key for stage in left}
        for stage in stages:
            if stage.key not in waiting:
                export(study, stage, folder)
        statuses: dict[str, int] = {}
        ended = (event for event in carry_out_stages(stages, terms, jobs) if event.done is not None)
        for event in bar(ended, len(left), f"running {study.name}"):
            assert event.done is not None
            export(study, event.stage, folder)
            status = event.done.finding.status
            statuses[status] = statuses.get(status, 0) + 1
        gather(stages, folder)
    return StudySummary(folder, len(stages), len(stages) - len(left), statuses)


def gather(stages: list[Stage], folder: Path) -> list[Finding]:
    """Write the findings of all stages that are done, in the order of the plan; return them."""
    done = [found for stage in stages if (found := done_of(stage, stages_folder(folder)))]
    lines = "".join(f"{one.finding.line()}\n" for one in done)
    write_whole(findings_file(folder), lines.encode())
    seconds = [Timing(key=one.finding.key, seconds=one.seconds) for one in done]
    timings = "".join(f"{one.line()}\n" for one in seconds)
    write_whole(timings_file(findings_file(folder)), timings.encode())
    return [one.finding for one in done]


def read_findings(folder: Path) -> list[Finding]:
    """Return the findings that lie in a study's folder; raise `BadResults` for a bad line."""
    file = findings_file(folder)
    if not file.is_file():
        raise BadResults(f"there are no findings in {folder}; lotterybench run makes them")
    lines = file.read_text().splitlines()
    return [Finding.read(line, f"{file}, line {n}") for n, line in enumerate(lines, 1)]


def _freeze(study: Study, folder: Path) -> None:
    """Write the study's record beside its results; refuse results of another version of it."""
    file = study_file(folder)
    if not file.is_file():
        write_whole(file, study.pretty())
        return
    there = type(study).read(file.read_bytes(), str(file))
    if there.digest() != study.digest():
        raise BadResults(
            f"{file} freezes another {study.name} (version {there.version}) than this software "
            f"has (version {study.version}); give another --out"
        )
