"""The audit trail of a round: who did what when, one line each, only ever added to."""

import contextlib
import getpass
import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime

from lotterybench.provenance import code_digest, processor, versions
from lotterybench.results import mend
from lotterybench.storage import append_line
from lotterybench.submissions.referee.records import Act
from lotterybench.submissions.referee.workplace import Workplace
from lotterybench.submissions.sandbox import Outcome

Detail = str | float | int | None
CODE = "submissions/**/*.py"  # what the referee is
SOFTWARE = ("numpy", "torch", "timm", "lightly")


@dataclass(frozen=True)
class Audit:
    """The trail of a round and who adds to it; the caller holds the lock of the workplace."""

    workplace: Workplace
    who: str

    def note(
        self, act: str, name: str | None = None, digest: str | None = None, **detail: Detail
    ) -> None:
        """Add what was done just now, to which submission (its name and digest), and details."""
        file = self.workplace.audit
        file.parent.mkdir(parents=True, exist_ok=True)
        line = Act(
            schema_version=1, time=datetime.now(UTC).isoformat(timespec="seconds"), who=self.who,
            act=act, name=name, digest=digest, code_digest=code_digest(CODE),
            software=versions(*SOFTWARE), hardware=processor(), detail=detail,
        )  # fmt: skip
        append_line(file, line.line())


def open_audit(workplace: Workplace, who: str | None = None) -> Audit:
    """Return a round's audit trail; a half-written last line is set aside. `who` is this user."""
    mend(workplace.audit)
    return Audit(workplace, who or user())


def acts(workplace: Workplace) -> list[Act]:
    """Return the lines of a round's audit trail, in the order they were written."""
    file = workplace.audit
    content = file.read_bytes().splitlines() if file.is_file() else []
    return [Act.read(line, f"{file.name} line {at}") for at, line in enumerate(content, 1)]


def user() -> str:
    """Return who runs this process, as `name@host`; a user without a name is its number."""
    name = f"user-{os.getuid()}"
    with contextlib.suppress(KeyError, OSError, ImportError):
        name = getpass.getuser()
    return f"{name}@{socket.gethostname()}"


def used(outcome: Outcome) -> dict[str, Detail]:
    """Return what is noted of a run of submitted code."""
    return {
        "status": outcome.status, "reason": outcome.reason or None,
        "isolation": outcome.isolation, "wall_seconds": outcome.wall_seconds,
        "cpu_seconds": outcome.cpu_seconds, "memory_bytes": outcome.memory_bytes,
    }  # fmt: skip
