"""What the end of a process says about a rerun."""

import signal
from signal import Signals

from lotterybench.executors.deaths import OutOfMemoryKills
from lotterybench.submissions.sandbox.attending import Attended
from lotterybench.submissions.sandbox.budget import Budget
from lotterybench.submissions.sandbox.outcome import Isolation, Outcome, Verdict
from lotterybench.submissions.sandbox.output import Tail
from lotterybench.submissions.sandbox.watching import Watch


def judged(code: int, full: bool, kills: OutOfMemoryKills, budget: Budget) -> Verdict:
    """Return what an exit status means, as bwrap and shells tell it: 128 + n for signal n."""
    if code == 0:
        return Verdict("ok", "")
    if code < 0:
        return Verdict("infra", "it was ended from outside; run it again")
    if code == 128 + signal.SIGXCPU:
        return Verdict("timeout", f"it used more than {budget.cpu_seconds:g} s of processor time")
    if code == 128 + signal.SIGKILL and kills.rose():
        return Verdict("oom", "the system killed a process for lack of memory")
    if full:
        return Verdict("crash", f"it filled its disk of {budget.disk_bytes} bytes")
    try:
        return Verdict("crash", f"it died of {Signals(code - 128).name}")
    except ValueError:
        return Verdict("crash", f"it ended with exit status {code}")


def outcome(
    verdict: Verdict,
    attended: Attended,
    code: int | None,
    watch: Watch,
    isolation: Isolation,
    tail: Tail,
    files: list[str],
) -> Outcome:
    """Return the record of a run."""
    return Outcome(
        status=verdict.status,
        reason=verdict.reason,
        exit_code=code,
        wall_seconds=round(attended.seconds, 3),
        cpu_seconds=round(watch.cpu, 2),
        memory_bytes=watch.peak,
        isolation=isolation,
        log=tail.text(),
        files=files,
    )
