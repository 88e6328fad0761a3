"""One submission's rerun, from its folder to its record.

Every step leaves what it found, whole, before the next one begins, and takes up what is there: a
referee that was killed anywhere and is started again ends with the same lines and records.
"""

import re
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lotterybench.build import manifest_problems
from lotterybench.errors import BadRequest, Busy, LotteryBenchError, NoSpace
from lotterybench.manifests import load_positions, save_manifest
from lotterybench.paths import cache_folder, data_folder, data_root, manifest_file
from lotterybench.provenance import code_digest, processor, versions
from lotterybench.records import Subset
from lotterybench.score import board
from lotterybench.storage import locked
from lotterybench.submissions.records import Submission
from lotterybench.submissions.referee.auditing import CODE, SOFTWARE, Audit, open_audit
from lotterybench.submissions.referee.claims import Measured, checked_claims
from lotterybench.submissions.referee.ending import check_open, supersede, superseding_problems
from lotterybench.submissions.referee.records import Pull, Rerun, State
from lotterybench.submissions.referee.scoring import Means, begin, run_subset, tracks_of
from lotterybench.submissions.referee.seeds import open_round
from lotterybench.submissions.referee.selecting import select
from lotterybench.submissions.referee.standing import measured
from lotterybench.submissions.referee.stopping import Stopped
from lotterybench.submissions.referee.taking import Taken, examine, keep, make_way, read_in
from lotterybench.submissions.referee.twins import twins_of
from lotterybench.submissions.referee.workplace import Workplace
from lotterybench.submissions.sandbox import Budget, box
from lotterybench.submissions.sandbox.outcome import Isolation
from lotterybench.submissions.sandbox.output import one_line
from lotterybench.trials import Isolation as Level
from lotterybench.trials import Track

DRAFT = re.compile(r"\..+\.[a-z0-9_]{8}")  # what `storage.staged` calls a file before it is whole
FINAL = ("verified", "rejected", "withdrawn")  # what is not run again


@dataclass(frozen=True)
class Way:
    """How one call reruns: under which isolation, on which tracks, by what means.

    `signals` is the beginning of a recorded set's digest, where a base has several.
    """

    isolation: Isolation
    tracks: Sequence[str] | None
    means: Means
    signals: str | None

    def level_of(self, record: Submission) -> Level:
        """Return what is written on a submission's results: of a manifest no code is run."""
        boxed = self.isolation == "sandboxed" and record.kind != "subset"
        return "rerun-sandboxed" if boxed else "rerun-unsandboxed"


def rerun(
    folder: Path, workplace: Workplace, *, tracks: Sequence[str] | None = None,
    isolation: Isolation = "sandboxed", null: int = 20, seeds: int | None = None,
    device: str = "auto", jobs: int | None = None, pull: Pull | None = None,
    who: str | None = None, signals: str | None = None,
) -> Rerun:  # fmt: skip
    """Take a submission in, run it and score it; return its record, which is written, too.

    `tracks` are names or files (default: those that it names, or all of its base that have
    reference results). `null` is the number of random subsets beside its own, `seeds` overrides
    what the tracks plan. `who` is named in the audit trail. What was verified or rejected is not
    run again; `failed` is, from where it stopped.

    Raises `Busy` if another referee is at work in this place, and `BadRequest` for a name that
    other files have, for tracks that are not the submission's, and where no sandbox can be had.
    """
    way = Way(isolation, tracks, Means(null, seeds, device, jobs), signals)
    with locked(workplace.folder / "round"):
        _sweep(workplace)
        audit = open_audit(workplace, who)
        secret, round_ = open_round(workplace)
        taken = read_in(folder)
        there = workplace.read(taken.name)
        same = there if there is not None and there.digest == taken.digest else None
        if same is not None and same.state in FINAL:
            return same
        check_open(round_)
        draft = _draft(taken, same, pull, round_.commitment, way)
        _check_way(taken.record, same, draft, way)
        make_way(taken, workplace, pull, audit)
        workplace.write(draft)  # before its files, so that these are always somebody's
        keep(taken, workplace, audit)
        done = _ended(draft, taken, secret, round_.blocked, workplace, way, audit)
        supersede(done, workplace)  # before the record, which says that all of it is done
        workplace.write(done)
        audit.note(
            done.state, done.name, done.digest, status=done.status, reason=done.reason or None
        )
        return done


def check_sandbox() -> None:
    """Raise `BadRequest` where no sandbox can be had."""
    with box.started(["/nothing"], [], {}, Budget()):
        pass  # its root stands; what it waits for never starts


def _sweep(workplace: Workplace) -> None:
    """Remove drafts of files that a killed referee left; the caller holds the lock."""
    for file in workplace.results.rglob(".*"):
        if DRAFT.fullmatch(file.name) and file.is_file():
            file.unlink()


def _check_way(record: Submission | None, there: Rerun | None, draft: Rerun, way: Way) -> None:
    """Raise `BadRequest` for what the caller has to mend before anything is run."""
    if there is not None and there.isolation not in (None, draft.isolation):
        raise BadRequest(
            f"{draft.name} was begun as {there.isolation}, and what was done then is kept: repeat "
            "it with the same --isolation, or give another --out"
        )
    if record is None:
        return
    if way.tracks:
        with suppress(Stopped):  # told in the record
            tracks_of(record, way.tracks)
    if way.isolation == "sandboxed" and record.kind != "subset":
        check_sandbox()


def _draft(
    taken: Taken, there: Rerun | None, pull: Pull | None, commitment: str, way: Way
) -> Rerun:  # fmt: skip
    """Return the record that a rerun begins with."""
    record = taken.record
    return Rerun(
        schema_version=1,
        name=taken.name,
        kind=record.kind if record else None,
        digest=taken.digest,
        base=record.base if record else None,
        state="running",
        isolation=way.level_of(record) if record else None,
        pull=pull or (there.pull if there else None),
        supersedes=record.supersedes if record else None,
        seed_commitment=commitment,
        software=versions(*SOFTWARE),
        hardware=processor(),
        code_digest=code_digest(CODE),
    )


def _ended(
    draft: Rerun, taken: Taken, secret: bytes, blocked: str, workplace: Workplace, way: Way,
    audit: Audit,
) -> Rerun:  # fmt: skip
    """Carry a rerun out; return its record at the end, whatever that is."""
    course = Course(draft, taken, secret, blocked, workplace, way, audit)
    try:
        course.run()
        state: State = "blocked" if blocked else "verified"
        return course.told(state=state, status=None if blocked else "ok", reason=blocked)
    except Stopped as end:
        state = "failed" if end.status == "infra" else "rejected"
        return course.told(state=state, status=end.status, reason=end.reason)
    except (Busy, NoSpace):
        raise
    except LotteryBenchError as error:
        return course.told(state="failed", status="infra", reason=_public(error, workplace))


class Course:
    """A rerun on its way: what it was given, and what has been found so far."""

    def __init__(
        self, draft: Rerun, taken: Taken, secret: bytes, blocked: str, workplace: Workplace,
        way: Way, audit: Audit,
    ) -> None:  # fmt: skip
        self.draft, self.taken, self.secret, self.blocked = draft, taken, secret, blocked
        self.workplace, self.way, self.audit = workplace, way, audit
        self.found: dict[str, Any] = {}

    def told(self, **end: Any) -> Rerun:
        """Return the record with what was found and how it ended."""
        return self.draft.model_copy(update={**self.found, **end})

    def run(self) -> None:
        """Check, run and score the submission; raise `Stopped` where it ends before that.

        In a blocked round, nothing is run after the check.
        """
        examined = examine(self.taken, self.workplace, self.way.isolation, self.audit)
        if self.taken.record is not None:
            faults = superseding_problems(self.taken.record, self.draft.pull, self.workplace)
            examined = examined.model_copy(update={"problems": [*examined.problems, *faults]})
        self.found |= {
            "problems": examined.problems, "warnings": examined.warnings, "twins": examined.twins,
        }  # fmt: skip
        record = self.taken.record
        if examined.problems or record is None:
            more = f" (and {len(examined.problems) - 1} more)" if examined.problems[1:] else ""
            raise Stopped("invalid", f"{examined.problems[0]}{more}")
        tracks, notes = tracks_of(record, self.way.tracks)
        self.found["warnings"] = [*examined.warnings, *notes]
        self.found["tracks"] = [one.name for one in tracks]
        if self.blocked:
            return
        if record.kind == "method":
            self._method(record, tracks)
        else:
            self._subset(record, tracks)

    def _subset(self, record: Submission, tracks: list[Track]) -> None:
        """Score a manifest, that was submitted or that a submitted selector gives."""
        level = self.way.level_of(record)
        if record.kind == "selector":
            subset = select(
                record, self.draft.digest, self.secret, self.workplace, self.way.isolation,
                self.audit, self.way.signals,
            )  # fmt: skip
        else:
            subset = self._copied(record)
        manifest = manifest_file(self.workplace.subsets, subset.id, subset.version)
        self.found["selected"] = [subset.ref]
        self.found["twins"] = twins_of(
            record.name, self.taken.folder.files, manifest, self.workplace
        )
        origin = f"submission:{record.name}"
        for one in tracks:
            file = run_subset(one, subset, self.workplace, origin, level, self.way.means)
            self.found["results"] = [*self.found.get("results", []), file]
        self.audit.note("scored", record.name, self.draft.digest, tracks=len(tracks))
        if record.claims:
            boards = {one.name: board(self.workplace.results / one.name) for one in tracks}
            self.found["claims"] = checked_claims(record.claims, subset.ref, boards)

    def _method(self, record: Submission, tracks: list[Track]) -> None:
        """Score a submitted method on each track, as a candidate."""
        from lotterybench.submissions.referee.training import rerun_method

        for one in tracks:
            begin(one, self.workplace)
            files = rerun_method(
                record, self.workplace.files(record.name), one, self.workplace,
                isolation=self.way.isolation, device=self.way.means.device,
                seeds=self.way.means.seeds, jobs=self.way.means.jobs, secret=self.secret,
                digest=self.draft.digest, audit=self.audit,
            )  # fmt: skip
            there = [file.relative_to(self.workplace.results).as_posix() for file in files]
            self.found["results"] = [*self.found.get("results", []), *there]
        self.audit.note("scored", record.name, self.draft.digest, tracks=len(tracks))
        if record.claims:
            scores: dict[tuple[str, str | None], Measured] = {}
            for one in tracks:
                scores |= measured(record.name, self.workplace.results / one.name, one)
            own = f"{record.base}/{record.name}@1"  # a method selects nothing
            self.found["claims"] = checked_claims(record.claims, own, {}, scores)

    def _copied(self, record: Submission) -> Subset:
        """Copy a submitted manifest, which was checked, to those of the round."""
        file = self.workplace.files(record.name) / record.file
        if faults := manifest_problems(file):
            raise Stopped("invalid", f"{record.file}: {faults[0]}")
        subset = Subset.read(file.read_bytes(), record.file)
        columns = load_positions(file) if subset.positions else None
        save_manifest(subset, columns, self.workplace.subsets)
        return subset


def _public(error: LotteryBenchError, workplace: Workplace) -> str:
    """Return an error's line for a record that strangers read: without folders of this machine."""
    found = str(error)
    places = [workplace.folder, data_root(), cache_folder(), Path.home(), tempfile.gettempdir()]
    for place in sorted({str(each) for each in [*places, data_folder()] if each}, key=len)[::-1]:
        found = found.replace(f"{place}/", "")
    return one_line(found)
