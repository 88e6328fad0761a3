"""The command line: parses, calls the library, prints. The only place that prints."""

import json
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from lotterybench.cli.board import in_order, remarks, side_rows
from lotterybench.cli.hub import publish, released_problems
from lotterybench.cli.materialise import materialise
from lotterybench.cli.options import Json, Out
from lotterybench.cli.output import draw, emit, exact_row, fidelity_row, notes, order_row
from lotterybench.cli.rerun import rerun
from lotterybench.cli.run import run
from lotterybench.cli.signals import signals
from lotterybench.cli.study import tell
from lotterybench.cli.submit import submit_app
from lotterybench.cli.subsets import build, shards
from lotterybench.cli.suite import draw_suite
from lotterybench.errors import BadRequest, LotteryBenchError
from lotterybench.progress import shown_by

app = typer.Typer(
    name="lotterybench",
    help="Which small part of a dataset ranks training methods the way the whole dataset does?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
site_app = typer.Typer(
    help="Render the leaderboard site, check it or look at it.", no_args_is_help=True
)
app.add_typer(site_app, name="site")
app.add_typer(submit_app, name="submit")


def main() -> None:
    """Run the command line; a user's mistake is one line and exit code 1."""
    try:
        with shown_by(draw, draw_suite):
            app()
    except LotteryBenchError as error:
        _fail(str(error))
    except OSError as error:  # a folder that is a file, no permission, a name too long …
        _fail(f"{error.filename or 'the operating system'}: {error.strerror or error}")


def _fail(message: str) -> NoReturn:
    notes.print(f"error: {message}", markup=False, style="bold red" if notes.is_terminal else "")
    sys.exit(1)


@app.command()
def demo(
    out: Out = Path("out/demo"),
    jobs: Annotated[
        int | None, typer.Option(help="Worker processes (default: one a core).")
    ] = None,
) -> None:
    """Go from digits to a leaderboard: subsets, shards, runs, fidelity, site."""
    from lotterybench.demo import demonstrate

    words: list[str] = []
    for step in demonstrate(out, jobs=jobs):
        print(f"{step.seconds:6.1f} s  {step.name:10s} {step.note}", flush=True)
        words += step.words
    print("", *words, sep="\n")
    print(f"\nOpen {(out / 'site' / 'index.html').resolve()}")


@app.command("list")
def list_things(
    what: Annotated[
        str,
        typer.Argument(
            help="bases, subsets, selectors, signals, methods, tracks, studies or published"
        ),
    ],
    show: Annotated[str | None, typer.Option(help="One method's frozen recipe.")] = None,
    as_json: Json = False,
) -> None:
    """List what is known here."""
    from lotterybench.listing import LISTS, rows

    if show is not None and what != "methods":
        raise BadRequest("--show goes with `list methods`")
    if what not in LISTS:
        raise BadRequest(f"there is no list of {what!r}; there are {', '.join(LISTS)}")
    emit(rows(what, show), as_json)


@app.command()
def base(
    where: Annotated[str, typer.Argument(help="A known id, HUB_ID[@REVISION], or a folder.")],
    name: Annotated[str | None, typer.Option("--id", help="Id to give it.")] = None,
    image: Annotated[str | None, typer.Option(help="Image column.")] = None,
    label: Annotated[str | None, typer.Option(help="Label column.")] = None,
    test: Annotated[str | None, typer.Option(help="Name of the test split there.")] = None,
    config: Annotated[str | None, typer.Option(help="Configuration on the Hub.")] = None,
    by_file: Annotated[bool, typer.Option("--by-file", help="Key samples by their file.")] = False,
    licence: Annotated[str | None, typer.Option(help="Licence of the images.")] = None,
    sealed: Annotated[
        bool, typer.Option("--sealed", help="The images may not be published, in shards or else.")
    ] = False,
    out: Out = Path("subsets"),
) -> None:
    """Pin a dataset: read all of it and write base.json and keys.parquet."""
    from lotterybench.manifests import save_base
    from lotterybench.sources import origin_of, pin

    origin = origin_of(
        where, name=name, image=image, label=label, test=test, config=config, by_file=by_file,
        licence=licence, sealed=sealed,
    )  # fmt: skip
    record, keyring = pin(origin)
    file = save_base(record, keyring, out)
    rows = ", ".join(f"{split.rows} {name}" for name, split in record.splits.items())
    print(f"{file}: {rows}, {len(record.class_names)} classes, digest {record.digest[:12]}")


app.command()(build)
app.command()(shards)
app.command()(materialise)


@app.command()
def check(
    paths: Annotated[
        list[str],
        typer.Argument(
            help="Manifests, shard folders, results, folders of them, or releases ORG/NAME[@TAG]."
        ),
    ],
    as_json: Json = False,
) -> None:
    """List every problem of what is given; exit with 1 if there is one."""
    from lotterybench.verification import verify

    problems = []
    for path in paths:
        released = None if Path(path).exists() else released_problems(path)
        problems += verify(Path(path)) if released is None else released
    if as_json:
        print(json.dumps(problems, indent=2))
    else:
        print("\n".join(problems) or "no problems")
    if problems:
        raise typer.Exit(1)


app.command()(publish)
app.command()(run)
app.command()(rerun)
app.command()(signals)


@app.command()
def score(
    track: Annotated[str, typer.Argument(help="Name of a track.")],
    results: Annotated[Path | None, typer.Option(help="Folder with <track>/ in it.")] = None,
    as_json: Json = False,
) -> None:
    """Say how well each subset ranks the configurations of a track."""
    from lotterybench.paths import reference_results
    from lotterybench.score import exact_report, score_track
    from lotterybench.tracks import find_study, find_track

    study = find_study(track)
    if study is not None:
        tell(study, (results or reference_results()) / study.name, as_json)
        return
    entry = find_track(track)
    if entry.kind == "exact":
        report = exact_report((results or reference_results()) / entry.name)
        if as_json:
            print(json.dumps(report.fields(), indent=2))
        else:
            emit([exact_row(count) for count in report.counts], False)
        return
    found = score_track(track, results or reference_results())
    if as_json:
        print(json.dumps(found.fields(), indent=2))
        return
    emit([fidelity_row(entry) for entry in in_order(found)], False)
    for line in remarks(found):
        print(line)


@app.command()
def compare(
    track: Annotated[str, typer.Argument(help="Name of a track.")],
    pair: Annotated[
        list[str] | None, typer.Argument(metavar="[A B]", help="Two subsets of the track.")
    ] = None,
    subset: Annotated[
        str | None, typer.Option(help="The subset that the scores were measured on.")
    ] = None,
    scores: Annotated[
        Path | None, typer.Option(help="CSV with the columns method and score (per cent).")
    ] = None,
    results: Annotated[Path | None, typer.Option(help="Folder with <track>/ in it.")] = None,
    as_json: Json = False,
) -> None:
    """Compare two subsets; or say how likely orders of your methods hold on full data."""
    from lotterybench.compare import compare as orders
    from lotterybench.compare import read_scores, side_by_side
    from lotterybench.paths import reference_results
    from lotterybench.tracks import find_track

    folder = (results or reference_results()) / find_track(track).name
    if pair and len(pair) == 2 and subset is None and scores is None:
        sides = side_by_side(pair[0], pair[1], folder)
        if as_json:
            print(json.dumps(sides.fields(), indent=2))
            return
        emit(side_rows(sides), False)
        return
    if pair or subset is None or scores is None:
        raise BadRequest("give two subsets, as `compare TRACK A B`, or --subset and --scores")
    found = orders(subset, read_scores(scores), folder)
    emit([order_row(order, as_json) for order in found], as_json)


@site_app.command("build")
def site_build(
    results: Annotated[Path | None, typer.Option(help="Folder with a folder per track.")] = None,
    out: Out = Path("site/public"),
) -> None:
    """Render the leaderboard; equal results give equal bytes."""
    from lotterybench.publication import render_site

    files = render_site(results, out)
    print(f"{out / 'index.html'}: {len(files)} files")


@site_app.command("check")
def site_check(
    results: Annotated[Path | None, typer.Option(help="Folder with a folder per track.")] = None,
    out: Out = Path("site/public"),
) -> None:
    """Exit with 1 if the rendered site is not what the results give."""
    from lotterybench.publication import stale_files

    stale = stale_files(results, out)
    print("\n".join(stale) or "current")
    if stale:
        raise typer.Exit(1)


@site_app.command("serve")
def site_serve(
    out: Out = Path("site/public"),
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
) -> None:
    """Serve the rendered site on this machine until interrupted."""
    from functools import partial
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

    if not (out / "index.html").is_file():
        raise BadRequest(f"{out} holds no site; run `lotterybench site build --out {out}` first")
    handler = partial(SimpleHTTPRequestHandler, directory=str(out))
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        print(f"http://127.0.0.1:{server.server_port}/")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            notes.print("stopped")
