"""What a stage leaves: a folder of files, and a record with their digests that is written last."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from lotterybench.errors import BadResults
from lotterybench.kinds.ranking import device_name
from lotterybench.kinds.stages.stage import Here, Stage
from lotterybench.provenance import code_digest, versions
from lotterybench.records import Record, Sha256
from lotterybench.storage import write_whole
from lotterybench.studies import Finding, Study
from lotterybench.trials import Status

CODE = ("methods/**/*.py", "pruning/*.py", "kinds/**/*.py")
DONE = "done.json"


@dataclass(frozen=True)
class Made:
    """What came of a stage: metrics, digests of what it made, and its cost."""

    metrics: dict[str, float] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    images: int = 0
    looked: int = 0
    steps: int = 0
    status: Status = "ok"
    reason: str | None = None


class Done(Record):
    """The last file of an artefact: the finding, and the sha256 of every other file."""

    finding: Finding
    files: dict[str, Sha256]
    seconds: float


def folder_of(stage: Stage, root: Path) -> Path:
    """Return where a stage's artefact lies below a study's folder of stages."""
    return root / stage.key[:20]


def done_of(stage: Stage, root: Path) -> Done | None:
    """Return a finished stage's record; None if it is not done, or a file of it is not whole."""
    folder = folder_of(stage, root)
    file = folder / DONE
    if not file.is_file():
        return None
    done = Done.read(file.read_bytes(), str(file))
    if done.finding.key != stage.key:
        raise BadResults(f"{file} is of another stage; give another --out")
    whole = all(
        (folder / name).is_file() and _sha256(folder / name) == digest
        for name, digest in done.files.items()
    )
    return done if whole else None


def finding_of(stage: Stage, root: Path) -> Finding | None:
    """Return what a finished stage found, or None."""
    done = done_of(stage, root)
    return done.finding if done else None


def seal(
    study: Study, base_digest: str, stage: Stage, here: Here, made: Made, seconds: float
) -> Done:
    """Write a stage's record, last and by rename, and return it; a half-done training goes."""
    here.checkpoint.unlink(missing_ok=True)
    finding = Finding(
        schema_version=1, study=study.name, study_version=study.version,
        study_digest=study.digest(), key=stage.key, stage=stage.does, arm=stage.arm, of=stage.of,
        seed=stage.seed, status=made.status, reason=made.reason, metrics=made.metrics,
        digests=made.digests, images=made.images, looked=made.looked, steps=made.steps,
        base_digest=base_digest, device=device_name(here.device),
        software=versions("numpy", "torch", "timm", "lightly"), code_digest=code_digest(*CODE),
        origin="reference", isolation="rerun-unsandboxed",
    )  # fmt: skip
    files = {
        file.name: _sha256(file)
        for file in sorted(here.folder.iterdir())
        if file.is_file() and not file.name.startswith(".") and file.name != DONE
    }
    done = Done(finding=finding, files=files, seconds=round(seconds, 3))
    write_whole(here.folder / DONE, done.pretty())
    return done


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
