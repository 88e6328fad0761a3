"""Results files: one JSON line per run, appended as runs end, put in order when all have."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from lotterybench.errors import BadRecord, BadResults
from lotterybench.paths import curves_file
from lotterybench.records import Subset
from lotterybench.storage import append_line, write_whole
from lotterybench.trials import Cheaper, Curve, Result, Timing, Track


def results_file(folder: Path, subset: Subset | None, cheaper: Cheaper | None = None) -> Path:
    """Return the file of one arm's results in a track's folder: a subset's, or on full data."""
    if cheaper is not None:
        return folder / f"{cheaper}.jsonl"
    return folder / (f"{subset.name}-v{subset.version}.jsonl" if subset else "full.jsonl")


def read(file: Path) -> list[Result]:
    """Return the results in a file, [] if there is none.

    Raises `BadResults` that names the line if one is half-written, invalid or a repetition.
    """
    if not file.exists():
        return []
    content = file.read_bytes()
    if content and not content.endswith(b"\n"):
        torn = content.count(b"\n") + 1
        raise BadResults(
            f"{file} ends in a half-written line ({torn}); "
            "repeat the run command, which sets it aside and makes that run again"
        )
    found: list[Result] = []
    lines: dict[str, int] = {}
    for number, line in enumerate(content.splitlines(), 1):
        try:
            result = Result.read(line, f"{file} line {number}")
        except BadRecord as error:
            raise BadResults(str(error)) from None
        if result.key in lines:
            raise BadResults(f"{file} lines {lines[result.key]} and {number} are the same run")
        lines[result.key] = number
        found.append(result)
    return found


def mend(file: Path) -> Path | None:
    """Set a half-written last line aside; return where it went, None if the file was whole.

    The caller holds the file's lock. A line is written in one piece that ends with its line end,
    so a rest without one is what a crash in mid-write left.
    """
    if not file.is_file():
        return None
    content = file.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole == len(content):
        return None
    torn = file.with_name(f"{file.name}.torn")
    before = torn.read_bytes() + b"\n" if torn.is_file() else b""
    write_whole(torn, before + content[whole:])
    write_whole(file, content[:whole])
    return torn


def append(
    file: Path, result: Result, seconds: float, timings: Path, curve: Sequence[Curve] = ()
) -> None:
    """Add a result; before it, beside it, the seconds that it took and its training's curve.

    So a result has both. A run that was interrupted in between has them twice.
    """
    append_line(timings, Timing(key=result.key, seconds=round(seconds, 3)).line())
    if curve:
        append_line(curves_file(file), "\n".join(line.line() for line in curve))
    append_line(file, result.line())


def arrange(file: Path, track: Track) -> None:
    """Put the lines, and those of the curves, in the order of the track's configurations and seeds.

    Runs end in any order; this makes the finished files the same however they came about.
    """
    place = {entry.name: index for index, entry in enumerate(track.configurations)}
    there = read(file)
    ordered = sorted(there, key=lambda r: (place[r.configuration], r.seed))
    if ordered != there:
        write_whole(file, "".join(f"{result.line()}\n" for result in ordered).encode())
    curves = curves_file(file)
    if curves.is_file():
        known = read_curves(curves)
        lines = [line.line() for result in ordered for line in known.get(result.key, [])]
        content = "".join(f"{line}\n" for line in lines).encode()
        if content != curves.read_bytes():
            write_whole(curves, content)


def read_curves(file: Path) -> dict[str, list[Curve]]:
    """Return each run's curve, by its key and in the order of epochs, {} if there is no file.

    Of a repeated epoch the last line counts: it was written by the attempt that has a result.
    """
    found: dict[str, dict[int, Curve]] = {}
    if not file.is_file():
        return {}
    for number, line in enumerate(file.read_bytes().splitlines(), 1):
        try:
            point = Curve.read(line, f"{file} line {number}")
        except BadRecord as error:
            raise BadResults(str(error)) from None
        found.setdefault(point.key, {})[point.epoch] = point
    return {key: [points[epoch] for epoch in sorted(points)] for key, points in found.items()}


def check_joinable(
    results: Sequence[Result], track: Track, subset: Subset | None, file: Path, base_digest: str,
    cheaper: Cheaper | None = None,
) -> None:  # fmt: skip
    """Raise `BadResults` if a line is not of this track, pool, data set and arm.

    `subset` is what the file is of (None: full data, or a `cheaper` arm on it), `base_digest` that
    of the pinned base.
    """
    expected = {
        "arm": cheaper.arm if cheaper else "subset" if subset else "full",
        "amount": cheaper.amount if cheaper else None,
        "base_digest": base_digest,
        "subset": subset.id if subset else None,
        "subset_version": subset.version if subset else None,
        "subset_digest": subset.digest if subset else None,
        "data_digest": subset.data_digest() if subset else base_digest,
        "scope": scope(track, subset),
    }
    pool = {
        e.name: (e.family, e.method, cheaper.applied(e.config) if cheaper else e.config)
        for e in track.configurations
    }
    digest = track.digest()
    for number, result in enumerate(results, 1):
        here = f"{file} line {number}"
        if result.track != track.name or result.track_digest != digest:
            raise BadResults(
                f"{here} is of track {result.track} version {result.track_version} "
                f"({result.track_digest[:12]}…), not of {track.name} version {track.version} "
                f"({digest[:12]}…); results of different pools are never joined (protocol §1)"
            )
        for field, value in expected.items():
            if getattr(result, field) != value:
                rule = "§7" if field == "scope" else "§1"
                raise BadResults(
                    f"{here} has {field} {getattr(result, field)!r}, not {value!r}; "
                    f"it was run on other data than this file is for (protocol {rule})"
                )
        if pool.get(result.configuration) != (result.family, result.method, result.config):
            raise BadResults(
                f"{here} is of a configuration {result.configuration!r} that {track.name} "
                "does not have (protocol §1)"
            )
        if result.status == "ok" and track.metric not in result.metrics:
            raise BadResults(
                f"{here} has no {track.metric}, the metric of {track.name}; it has "
                f"{', '.join(sorted(result.metrics)) or 'none'}, and metrics are never joined "
                "(protocol §1)"
            )


def scope(track: Track, subset: Subset | None) -> Literal["full", "subset"]:
    """Return `subset` if a run is tested on the subset's classes only, else `full`."""
    restricted = subset is not None and subset.classes is not None
    return "subset" if restricted and track.probe == "classifier" else "full"
