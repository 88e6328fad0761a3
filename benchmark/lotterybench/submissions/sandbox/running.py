"""Running a command under a budget: in a sandbox, or, for code of one's own, without one."""

import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import get_args

from lotterybench.errors import BadRequest, BadSubmission
from lotterybench.executors.deaths import OutOfMemoryKills
from lotterybench.submissions.sandbox import box, places
from lotterybench.submissions.sandbox.attending import attend, drain
from lotterybench.submissions.sandbox.budget import Budget
from lotterybench.submissions.sandbox.delivering import deliver
from lotterybench.submissions.sandbox.judging import judged, outcome
from lotterybench.submissions.sandbox.outcome import Isolation, Outcome, Verdict
from lotterybench.submissions.sandbox.output import Tail
from lotterybench.submissions.sandbox.plain import run_plainly
from lotterybench.submissions.sandbox.watching import EVERY, Watch, inside

INIT = frozenset({"1"})  # bwrap's own process


def run(
    command: Sequence[str],
    *,
    reads: Mapping[str, Path],
    writes: Path,
    budget: Budget | None = None,
    environment: Mapping[str, str] | None = None,
    isolation: Isolation = "sandboxed",
) -> Outcome:
    """Run `command`, which finds inputs in the folder $INPUTS and leaves outputs in $OUTPUTS.

    Each of `reads` lies in $INPUTS under its name, read-only; `writes` must be a folder that is
    empty or not there, and gets the outputs if the run ends `ok`, else nothing. The command sees no
    variable but those of `environment` and a few fixed ones. Isolation "none" runs it as an
    ordinary process with the rights of whoever calls: that is for code of one's own.
    Raises `BadRequest` for arguments that cannot be, and where no sandbox can be had.
    """
    if isolation not in get_args(Isolation):
        raise BadRequest(f"isolation is one of {', '.join(get_args(Isolation))}, not {isolation!a}")
    if sys.platform != "linux":
        raise BadRequest("reruns need Linux; use a virtual machine that runs it")
    if not command or any("\0" in word for word in command):
        raise BadRequest("a rerun needs a command: a program and its arguments")
    if writes.exists() and (not writes.is_dir() or any(writes.iterdir())):
        raise BadRequest(f"{writes} is not an empty folder; give a new one for the outputs")
    budget = budget or Budget()
    runner = _run_boxed if isolation == "sandboxed" else run_plainly
    return runner(list(command), dict(reads), writes, budget, environment or {})


def _run_boxed(
    command: list[str],
    reads: Mapping[str, Path],
    writes: Path,
    budget: Budget,
    environment: Mapping[str, str],
) -> Outcome:
    """Run a command in a sandbox of its own."""
    mounts = [*places.system(), *places.inputs(reads), *places.gpu(budget.gpu)]
    variables = places.environment(places.INPUTS, places.OUTPUTS, places.TEMPORARY, environment)
    tail, kills = Tail(budget.log_bytes), OutOfMemoryKills()
    files: list[str] = []
    with box.started(command, mounts, variables, budget) as (boxed, go):
        members = partial(inside, boxed.proc, INIT)
        watch = Watch(boxed.proc, members, boxed.scratch, budget)
        outer = os.pidfd_open(boxed.bwrap.pid)
        try:
            os.write(go, b"x")
            ends = [outer, boxed.init]
            attended = attend(ends, boxed.log, tail, watch, budget.wall_seconds, EVERY)
        finally:
            boxed.kill()
            os.close(outer)
        drain(boxed.log, tail)
        ended: int = boxed.bwrap.returncode
        verdict = attended.verdict or judged(ended, watch.full(), kills, budget)
        if verdict.status == "ok":
            try:
                files = deliver(boxed.out, writes, budget)
            except BadSubmission as error:
                verdict = Verdict("invalid", str(error))
    code = None if attended.verdict or ended < 0 else ended
    return outcome(verdict, attended, code, watch, "sandboxed", tail, files)
