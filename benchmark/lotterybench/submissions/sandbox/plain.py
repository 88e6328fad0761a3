"""Running a command without a sandbox: for code of one's own alone."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from shutil import rmtree

import psutil

from lotterybench.errors import BadRequest, BadSubmission
from lotterybench.executors.deaths import OutOfMemoryKills
from lotterybench.submissions.sandbox import launch, places
from lotterybench.submissions.sandbox.attending import attend, drain
from lotterybench.submissions.sandbox.budget import Budget
from lotterybench.submissions.sandbox.delivering import deliver
from lotterybench.submissions.sandbox.handles import Handles
from lotterybench.submissions.sandbox.judging import judged, outcome
from lotterybench.submissions.sandbox.limits import per_process
from lotterybench.submissions.sandbox.outcome import Outcome, Verdict
from lotterybench.submissions.sandbox.output import Tail
from lotterybench.submissions.sandbox.watching import Watch

EVERY = 0.25  # seconds: finding one's descendants means a look at all processes of the machine
PREFIX = "lotterybench-rerun-"


def run_plainly(
    command: list[str],
    reads: Mapping[str, Path],
    writes: Path,
    budget: Budget,
    environment: Mapping[str, str],
) -> Outcome:
    """Run a command with the caller's rights, the same limits of each process, and a clock."""
    if budget.gpu is not None:
        environment = {**environment, "CUDA_VISIBLE_DEVICES": str(budget.gpu)}
    places.check(reads)
    tail, kills, files = Tail(budget.log_bytes), OutOfMemoryKills(), list[str]()
    with _folder() as folder, Handles() as handles:
        given, left, scratch = folder / "in", folder / "out", folder / "tmp"
        for each in (given, left, scratch):
            each.mkdir()
        for name, path in reads.items():
            (given / name).symlink_to(path.resolve())
        variables = places.environment(given, left, scratch, environment)
        log, printed = handles.pipe()
        child = _start(command, variables, left, printed, budget)
        try:
            handles.drop(printed)
            end = handles.keep(os.pidfd_open(child.pid))
            proc = handles.keep(os.open("/proc", os.O_RDONLY | os.O_DIRECTORY))
            watch = Watch(proc, partial(_family, child.pid), None, budget)
            attended = attend([end], log, tail, watch, budget.wall_seconds, EVERY)
        finally:
            _kill(child)
        drain(log, tail)
        code = child.returncode if child.returncode >= 0 else 128 - child.returncode
        verdict = attended.verdict or judged(code, False, kills, budget)
        if verdict.status == "ok":
            try:
                files = deliver(handles.keep(os.open(left, os.O_RDONLY)), writes, budget)
            except BadSubmission as error:
                verdict = Verdict("invalid", str(error))
    code_seen = None if attended.verdict else code
    return outcome(verdict, attended, code_seen, watch, "none", tail, files)


def _start(
    command: Sequence[str], variables: Mapping[str, str], folder: Path, printed: int, budget: Budget
) -> subprocess.Popen[bytes]:
    """Start the command with its limits, in a process group of its own."""
    program = _program(command[0])
    asked = {
        "parent": os.getpid(), "user": None, "sources": [], "limits": per_process(budget),
        "command": [program, *command[1:]],
    }  # fmt: skip
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-B", launch.__file__, json.dumps(asked)],
        stdin=subprocess.DEVNULL, stdout=printed, stderr=printed, cwd=folder, env=variables,
        start_new_session=True,
    )  # fmt: skip


def _program(name: str) -> str:
    if not os.access(name, os.X_OK):
        raise BadRequest(f"{name!a} is no program; give the path of one, as that of Python")
    return name


def _family(leader: int) -> list[str]:
    """Return the numbers of a process and its descendants; those who left the family are missed."""
    try:
        family = [leader, *(each.pid for each in psutil.Process(leader).children(recursive=True))]
    except psutil.NoSuchProcess:
        return []
    return [str(number) for number in family]


def _kill(child: subprocess.Popen[bytes]) -> None:
    """End the process and all that stayed in its group or are its descendants."""
    family = _family(child.pid)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    for number in family[1:]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(number), signal.SIGKILL)
    child.wait()


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """Yield a temporary folder; remove it, and those of one's own referees that were killed."""
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*-*"):
        number = left.name.removeprefix(PREFIX).split("-")[0]
        with contextlib.suppress(FileNotFoundError):
            ours = left.lstat().st_uid == os.geteuid()
            if ours and number.isdecimal() and not psutil.pid_exists(int(number)):
                rmtree(left, ignore_errors=True)
    name = f"{PREFIX}{os.getpid()}-"
    with tempfile.TemporaryDirectory(prefix=name, ignore_cleanup_errors=True) as folder:
        yield Path(folder)
