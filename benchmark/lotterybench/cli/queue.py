"""The referee's queue on the Hub, and how submissions and rounds end: modes of `rerun`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from lotterybench.cli.hub import token_in
from lotterybench.cli.output import emit, notes
from lotterybench.errors import BadRequest, LotteryBenchError

if TYPE_CHECKING:
    from lotterybench.submissions.referee.queue import Turn

REFERENCES = ("tracks", "seeds", "device", "jobs", "who")  # options that they are run with


def take_up_queue(
    repo: str, out: Path, way: dict[str, Any], token_file: Path | None, dry_run: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Rerun the open pull requests of a repository; exit with 1 if something is left to do."""
    from lotterybench.submissions.referee.drift import References
    from lotterybench.submissions.referee.queue import Bench, look, take_up
    from lotterybench.submissions.referee.rerunning import rerun as rerun_one
    from lotterybench.submissions.referee.workplace import Workplace

    workplace = Workplace(out)
    token = None if token_file is None else token_in(token_file)
    if dry_run:
        emit([_row(turn, as_json) for turn in look(repo, workplace, token=token)], as_json)
        return
    bench = Bench(
        lambda folder, pull: rerun_one(folder, workplace, pull=pull, **way),
        References(workplace, **{name: way[name] for name in REFERENCES}),
    )
    turns = []
    try:
        for turn in take_up(repo, workplace, bench, token=token, who=way["who"]):
            turns.append(turn)
            if turn.fault:
                notes.print(f"error: {turn.name}: {turn.fault}", markup=False)
    except KeyboardInterrupt:
        raise LotteryBenchError("stopped; repeat the command to continue") from None
    emit([_row(turn, as_json) for turn in turns], as_json)
    if any(turn.fault or turn.state in ("pending", "failed", "blocked") for turn in turns):
        raise typer.Exit(1)


def withdraw_one(name: str, reason: str | None, out: Path, who: str | None) -> None:
    """Take a submission off the board."""
    from lotterybench.submissions.referee.ending import withdraw
    from lotterybench.submissions.referee.workplace import Workplace

    if reason is None:
        raise BadRequest("--withdraw goes with --reason, a line that the board shows")
    done = withdraw(name, reason, Workplace(out), who=who)
    print(f"{done.name} is withdrawn: {done.withdrawn}; its lines and records stay")


def close_one(out: Path, who: str | None, as_json: bool) -> None:
    """End a round and show its secret."""
    from lotterybench.submissions.referee.ending import close_round
    from lotterybench.submissions.referee.workplace import Workplace

    found, unfinished = close_round(Workplace(out), who=who)
    if as_json:
        print(json.dumps(found.fields(), indent=2))
        return
    print(f"the round is closed\ncommitment {found.commitment}\nsecret     {found.secret}")
    for one in unfinished:
        notes.print(f"not finished: {one.name} is {one.state}", markup=False)


def _row(turn: Turn, as_json: bool) -> dict[str, Any]:
    if as_json:
        return turn.fields()
    return {
        "pull request": turn.number, "name": turn.name, "author": turn.author,
        "read at": turn.commit[:12], "state": turn.state, "status": turn.status,
        "reason": turn.reason, "on main": turn.published and turn.published[:12],
    }  # fmt: skip
