"""The demonstration: digits from subset to leaderboard, by the pieces that everything else uses."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from lotterybench.build import build_subset, save_subset
from lotterybench.errors import LotteryBenchError
from lotterybench.fidelities import Fidelity
from lotterybench.manifests import load_subset_manifest
from lotterybench.publication import render_site
from lotterybench.run import run_track
from lotterybench.score import score_track
from lotterybench.shards import shard_problems, write_shards
from lotterybench.tracks import find_track

TRACK = "digits-demo"


class Step(NamedTuple):
    """One finished step: its name, the seconds it took, what it made, and what that says."""

    name: str
    seconds: float
    note: str
    words: tuple[str, ...] = ()


def demonstrate(out: Path, *, jobs: int | None = None) -> Iterator[Step]:
    """Build subsets, write and load shards, run the track, score it and render the site.

    Yields each step as it ends. Repeating it continues where it was stopped.
    """
    track = find_track(TRACK)
    start = time.perf_counter()

    def step(name: str, note: str, words: tuple[str, ...] = ()) -> Step:
        nonlocal start
        seconds, start = time.perf_counter() - start, time.perf_counter()
        return Step(name, seconds, note, words)

    built = []
    for ref in track.subsets:
        recipe, _ = load_subset_manifest(ref)
        rebuilt, columns = build_subset(
            recipe.base, recipe.selector, recipe.budget, name=recipe.name, seed=recipe.seed,
            version=recipe.version, settings=recipe.settings,
        )  # fmt: skip
        if rebuilt.data_digest() != recipe.data_digest():
            raise LotteryBenchError(f"{ref} comes out differently here; please report this")
        built.append(str(save_subset(rebuilt, columns, out / "subsets")))
    yield step("build", f"{len(track.subsets)} subsets of {track.base}, as released")
    index = write_shards(built, out / "shards")
    problems = shard_problems(out / "shards")
    if problems:
        raise LotteryBenchError(problems[0])
    yield step("shards", f"{len(index.files())} files in {out / 'shards'}, verified")
    yield step("load", _load(out / "shards", index.configs[0].name))
    summary = run_track(track.name, out / "results", jobs=jobs)
    yield step("run", f"{summary.planned} runs, {summary.before} of them were there")
    board = score_track(track.name, out / "results")
    judged = [one.fidelity for one in board.subsets if one.fidelity is not None]
    yield step(
        "score",
        f"{len(judged)} subsets, beside {track.null} random ones",
        tuple(in_words(judged)),
    )
    files = render_site(out / "results", out / "site")
    yield step("site", f"{len(files)} files in {out / 'site'}")


def _load(folder: Path, name: str) -> str:
    """Read a subset as a user would, and say what came."""
    import datasets

    datasets.disable_progress_bars()
    data = datasets.load_dataset(str(folder), name, split="train")
    image = data[0]["png"]
    return f'load_dataset("{folder}", "{name}"): {len(data)} images of {image.width}×{image.height}'


def in_words(judged: Sequence[Fidelity]) -> Iterator[str]:
    """Say how well each subset ranks, how well random ones do, and what fewer steps are worth."""
    yield (
        "How alike are the ranking on a subset and that on all images? Kendall's τ is 1 for the "
        "same order, 0 for none."
    )
    for one in judged:
        yield f"\n{one.subset}: τ = {_number(one.tau)}"
        if one.interval is not None:
            yield (
                f"  With other families of methods it would lie between {one.interval.low:.2f} and "
                f"{one.interval.high:.2f} (90 % interval, {one.families} families)."
            )
        if (null := one.null) is not None:
            yield (
                f"  {null.count} random subsets of the same size: {_number(null.low)} to "
                f"{_number(null.high)}, mean {_number(null.mean)}. p = {_number(null.p)}: "
                "about so often does one taken at random do as well."
            )
        if (control := one.control) is not None and control.difference is not None:
            bounds = control.interval
            sure = f" ({bounds.low:+.2f} to {bounds.high:+.2f})" if bounds else ""
            yield (
                f"  All images for {control.amount:.0%} of the steps, at the same cost: "
                f"τ = {_number(control.tau)}. The subset's τ less this: "
                f"{control.difference:+.2f}{sure}."
            )


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.2f}"
