"""The referee's command: submissions taken in, rerun in a sandbox and scored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from lotterybench.cli.options import Json, Out
from lotterybench.cli.output import emit, notes, number
from lotterybench.cli.queue import REFERENCES, close_one, take_up_queue, withdraw_one
from lotterybench.errors import BadRequest, Busy, LotteryBenchError, NoSpace

if TYPE_CHECKING:
    from lotterybench.submissions.referee.figures import Figure
    from lotterybench.submissions.referee.records import Rerun
    from lotterybench.submissions.referee.workplace import Workplace

Isolation = Literal["sandboxed", "none"]
UNSAFE = (
    "warning: without a sandbox, submitted code can read and write all that you can; its rows are "
    "marked rerun-unsandboxed"
)


def rerun(
    folders: Annotated[
        list[Path] | None, typer.Argument(metavar="FOLDER…", help="Submissions, a folder each.")
    ] = None,
    track: Annotated[
        list[str] | None,
        typer.Option(help="Only on this track, a name or a track.json (repeatable)."),
    ] = None,
    isolation: Annotated[
        str, typer.Option(help="sandboxed, or none for code of your own.")
    ] = "sandboxed",
    null: Annotated[
        int, typer.Option(min=0, help="Random subsets of equal size beside each.")
    ] = 20,
    seeds: Annotated[int | None, typer.Option(min=1, help="Seeds (default: the track's).")] = None,
    signals: Annotated[
        str | None, typer.Option(metavar="DIGEST", help="Recorded set, where there are several.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda …")] = "auto",
    jobs: Annotated[int | None, typer.Option(min=1, help="Worker processes.")] = None,
    who: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="Who the audit trail says it was.")
    ] = None,
    queue: Annotated[
        str | None, typer.Option(help="Rerun the pull requests of this repository, ORG/NAME.")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="File with the token (default: that of `hf auth login`).")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list what the queue holds.")
    ] = False,
    withdraw: Annotated[
        str | None, typer.Option(metavar="NAME", help="Take a submission off the board.")
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Why, in a line.")] = None,
    close: Annotated[bool, typer.Option("--close", help="End the round, show its secret.")] = False,
    as_json: Json = False,
    out: Out = Path("out/referee"),
) -> None:
    """Rerun submissions and score them; interrupt and repeat as you like."""
    if sum([bool(folders), queue is not None, withdraw is not None, close]) != 1:
        raise BadRequest("give folders of submissions, or one of --queue, --withdraw and --close")
    if (token_file is not None or dry_run) and queue is None:
        raise BadRequest("--token-file and --dry-run go with --queue")
    if reason is not None and withdraw is None:
        raise BadRequest("--reason goes with --withdraw")
    if withdraw is not None:
        withdraw_one(withdraw, reason, out, who)
        return
    if close:
        close_one(out, who, as_json)
        return
    way = {
        "tracks": track, "isolation": isolation_of(isolation), "null": null, "seeds": seeds,
        "device": device, "jobs": jobs, "who": who, "signals": signals,
    }  # fmt: skip
    if queue is not None:
        take_up_queue(queue, out, way, token_file, dry_run, as_json)
    else:
        rerun_folders(folders or [], out, way, as_json)


def isolation_of(name: str) -> Isolation:
    """Return an isolation by its name; a warning is printed for `none`."""
    if name not in ("sandboxed", "none"):
        raise BadRequest(f"--isolation is {name!r}; it is sandboxed or none")
    if name == "none":
        notes.print(UNSAFE, markup=False)
    return cast(Isolation, name)


def rerun_folders(folders: list[Path], out: Path, way: dict[str, Any], as_json: bool) -> None:
    """Rerun submissions one after the other; one that cannot be taken in stops no other."""
    from lotterybench.submissions.referee.drift import References
    from lotterybench.submissions.referee.rerunning import rerun as rerun_one
    from lotterybench.submissions.referee.workplace import Workplace

    workplace, rows, refused = Workplace(out), [], False
    references = References(workplace, **{name: way[name] for name in REFERENCES})
    try:
        for at, folder in enumerate(folders, 1):
            if notes.is_terminal and len(folders) > 1:
                notes.print(f"{at} of {len(folders)}: {folder}", markup=False)
            try:
                references.before(folder)
                done = rerun_one(folder, workplace, **way)
            except (Busy, NoSpace):
                raise
            except LotteryBenchError as error:
                refused = True
                notes.print(f"error: {folder}: {error}", markup=False)
            else:
                rows += rows_of(done, workplace, as_json)
    except KeyboardInterrupt:
        raise LotteryBenchError("stopped; repeat the command to continue") from None
    if rows or as_json:
        emit(rows, as_json)
    if refused or any(row["state"] in ("failed", "blocked") for row in rows):
        raise typer.Exit(1)


def rows_of(done: Rerun, workplace: Workplace, as_json: bool) -> list[dict[str, Any]]:
    """Return a row of text for each track of a rerun; as JSON its record with all figures."""
    from lotterybench.submissions.referee.figures import figures_of

    figures = figures_of(done, workplace)
    if as_json:
        return [{**done.fields(), "figures": [one._asdict() for one in figures]}]
    about = {
        "name": done.name, "kind": done.kind, "state": done.state, "status": done.status,
        "reason": done.reason,
    }  # fmt: skip
    return [about | _figure_row(one) for one in figures] or [about | _figure_row(None)]


def _figure_row(one: Figure | None) -> dict[str, Any]:
    if one is None:
        return {"track": None, "tau-b": None, "5 % – 95 %": None, "score": None}
    bounds = None if one.low is None or one.high is None else f"{one.low:.2f} – {one.high:.2f}"
    return {
        "track": one.track,
        "tau-b": None if one.score is not None else number(one.tau),
        "5 % – 95 %": bounds or one.said or None,
        "score": None if one.score is None else f"{one.score:.2f}",
    }
