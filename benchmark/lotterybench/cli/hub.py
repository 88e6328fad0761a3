"""Releases on the Hub: the command that publishes, and checking one that is there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lotterybench.cli.options import Json
from lotterybench.cli.output import notes
from lotterybench.errors import BadRequest, LotteryBenchError

if TYPE_CHECKING:
    from lotterybench.hub import Published

RELEASE = re.compile(r"(\w[\w.-]*/\w[\w.-]*)(?:@(\S+))?", re.ASCII)


def released_problems(given: str) -> list[str] | None:
    """Return the problems of a release ORG/NAME[@TAG]; None for what has another form."""
    from lotterybench.hub import check_release

    named = RELEASE.fullmatch(given)
    if named is None:
        return None
    try:
        found = check_release(named[1], named[2])
    except LotteryBenchError as error:
        none = "" if named[2] else "there is no such file or folder; as a repository: "
        return [f"{given}: {none}{error}"]
    notes.print(f"checked {found.label}, commit {found.commit}", markup=False)
    return [f"{found.label}: {problem}" for problem in found.problems]


def publish(
    folder: Annotated[Path, typer.Argument(help="A folder that `lotterybench shards` wrote.")],
    repo: Annotated[str, typer.Option(help="Dataset repository on the Hub, ORG/NAME.")],
    tag: Annotated[str, typer.Option(help="Version, as v1.0.0; a release never changes.")],
    delete: Annotated[
        bool, typer.Option("--delete", help="Remove files that the folder lacks.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    token_file: Annotated[
        Path | None, typer.Option(help="File with the token (default: that of `hf auth login`).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Publish a shard folder on the Hub: one commit, checked there, then a tag."""
    from lotterybench.hub import publish as release

    token = None if token_file is None else token_in(token_file)
    try:
        done = release(folder, repo, tag, delete=delete, dry_run=dry_run, token=token)
    except KeyboardInterrupt:
        raise LotteryBenchError("stopped; repeat the command to continue") from None
    if as_json:
        print(json.dumps(done.fields(), indent=2))
        return
    _tell(done)


def _tell(done: Published) -> None:
    """Print each file that changes or stays behind, and what was done."""
    from lotterybench.hub.release import listed

    plan = done.plan
    for sign, paths in (
        ("+", plan.added), ("~", plan.changed), ("-", plan.deleted), ("?", plan.kept)
    ):  # fmt: skip
        for path in paths:
            stays = " (not in the folder; stays)" if sign == "?" else ""
            print(f"{sign} {listed([path])}{stays}")
    counts = (
        f"{len(plan.added)} added, {len(plan.changed)} changed, {len(plan.deleted)} deleted, "
        f"{len(plan.unchanged)} unchanged, {plan.bytes / 1e6:.1f} MB"
    )
    what = {
        "new": f"published as commit {done.commit}",
        "tagged": f"main held the files already; commit {done.commit} is tagged",
        "before": f"was published before as commit {done.commit}; nothing is changed",
        "planned": "a dry run; nothing is changed",
    }
    print(f"{done.repo} {done.tag}: {counts}\n{what[done.state]}")


def token_in(file: Path) -> str:
    """Return the token in a file; raise `BadRequest` without repeating what it holds."""
    try:
        token = file.read_text().strip()
    except (OSError, UnicodeDecodeError):
        raise BadRequest("--token-file cannot be read") from None
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise BadRequest("--token-file holds no token: it is one line without spaces")
    return token
