"""Submissions: the commands that begin one, check it and send it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lotterybench.cli.hub import token_in
from lotterybench.cli.options import Json
from lotterybench.cli.output import notes
from lotterybench.errors import LotteryBenchError

if TYPE_CHECKING:
    from lotterybench.submissions.checking import Checked

submit_app = typer.Typer(
    help="Hand in a subset, a selector or a method to be rerun.", no_args_is_help=True
)
Folder = Annotated[Path, typer.Argument(help="Folder with a submission.toml in it.")]
NoRun = Annotated[bool, typer.Option("--no-run", help="Do not run the code.")]


@submit_app.command("new")
def submit_new(
    kind: Annotated[str, typer.Argument(help="subset, selector or method")],
    name: Annotated[str, typer.Argument(help="Its name, as hard-samples.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to (default: one of its name, here).")
    ] = None,
) -> None:
    """Write a folder that is a submission already, to be changed."""
    from lotterybench.submissions.drafts import new_submission

    folder = out or Path(name)
    for file in new_submission(kind, name, folder):
        print(file)
    print(f"\nlotterybench submit check {folder}")


@submit_app.command("check")
def submit_check(folder: Folder, no_run: NoRun = False, as_json: Json = False) -> None:
    """List every problem of a submission; exit with 1 if there is one."""
    from lotterybench.submissions.checking import check_submission

    found = check_submission(folder, run=not no_run)
    if as_json:
        print(json.dumps(found.fields(), indent=2))
    else:
        _tell(found)
    if found.problems:
        raise typer.Exit(1)


@submit_app.command("send")
def submit_send(
    folder: Folder,
    repo: Annotated[str, typer.Option(help="Dataset repository on the Hub, ORG/NAME.")],
    token_file: Annotated[
        Path | None, typer.Option(help="File with the token (default: that of `hf auth login`).")
    ] = None,
    no_run: NoRun = False,
    as_json: Json = False,
) -> None:
    """Check a submission and open a pull request with it, or bring its own up to date."""
    from lotterybench.submissions.checking import check_submission
    from lotterybench.submissions.sending import send

    token = None if token_file is None else token_in(token_file)
    found = check_submission(folder, run=not no_run)
    if found.problems:
        _tell(found)
        raise typer.Exit(1)
    try:
        sent = send(found, repo, token=token)
    except KeyboardInterrupt:
        raise LotteryBenchError("stopped; repeat the command to continue") from None
    if as_json:
        print(json.dumps(sent.fields(), indent=2))
        return
    what = {
        "new": "opened",
        "updated": "brought up to date",
        "before": "held these files already; nothing is changed",
        "merged": "is merged with these files; nothing is changed",
    }
    print(f"pull request {sent.number} of {sent.repo}: {what[sent.state]}\n{sent.address}")


def _tell(found: Checked) -> None:
    """Print problems, and what was found if there are none; warnings go to standard error."""
    for warning in found.warnings:
        notes.print(f"warning: {warning}", markup=False)
    print("\n".join(found.problems) or "no problems")
    if found.problems:
        return
    if found.trial is not None:
        print(
            f"on digits: {found.trial['seconds']:.1f} s, "
            f"{found.trial['memory_bytes'] / 1e6:.0f} MB, isolation {found.trial['isolation']}"
        )
    print(f"digest {found.digest}")
