"""A user's own method beside a track's pool: run like it, never joined with it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from lotterybench.errors import BadRequest
from lotterybench.manifests import load_subset_manifest
from lotterybench.methods.base.own import load_own
from lotterybench.methods.base.recipe import needed_by, settings_of
from lotterybench.paths import reference_results
from lotterybench.results import read, results_file
from lotterybench.trials import Configuration, Setting, Track


def is_own(name: str) -> bool:
    """Say whether `FILE.py:NAME` is meant, not a configuration of the track."""
    return ".py:" in name


def beside(track: Track, own: Sequence[str], settings: Mapping[str, Setting]) -> Track:
    """Return the track with each of the user's methods as one more configuration.

    It is another track, with the names in its own name: `digits-supervised-own-train-1a2b…`.
    Raises `BadRequest` for a setting that a method does not take, or one that it needs.
    """
    added = []
    for where in own:
        name = load_own(where)
        known = settings_of(name)
        strange = sorted(set(settings) - set(known))
        if strange:
            raise BadRequest(
                f"{where} has no setting {', '.join(strange)}; it has {', '.join(known)}"
            )
        lacking = sorted(needed_by(name) - set(settings))
        if lacking:
            raise BadRequest(f"{where} needs --set {' --set '.join(f'{n}=…' for n in lacking)}")
        added.append(
            Configuration(name=name, family=f"own/{name}", method=name, config=dict(settings))
        )
    names = "-".join(entry.name for entry in added)
    return Track.model_validate(
        {
            **track.fields(),
            "name": f"{track.name}-{names}",
            "title": f"{track.title}, beside them a method of one's own",
            "configurations": [*track.configurations, *added],
        }
    )


class Standing(NamedTuple):
    """Where an own method would stand in one arm: its mean score, its place, and among how many."""

    arm: str
    configuration: str
    metric: str
    score: float
    seeds: int
    place: int | None
    among: int


def standings(track: Track, whole: Track, folder: Path) -> list[Standing]:
    """Return where the own methods of `whole` stand among the reference results of `track`.

    `folder` holds `whole`'s results. Places are by mean score, and say nothing of their noise;
    None where there are no reference results of that arm.
    """
    found = []
    own = [entry.name for entry in whole.configurations[len(track.configurations) :]]
    for subset in (None, *(load_subset_manifest(ref)[0] for ref in track.subsets)):
        pool = _means(results_file(reference_results() / track.name, subset), track)
        mine = _means(results_file(folder, subset), whole)
        others = [score for name, (score, _) in pool.items() if name not in track.anchors]
        for name in own:
            if name in mine:
                score, seeds = mine[name]
                place = 1 + sum(other > score for other in others) if others else None
                arm = subset.ref if subset else "full"
                found.append(
                    Standing(arm, name, track.metric, score, seeds, place, len(others) + 1)
                )
    return found


def _means(file: Path, track: Track) -> dict[str, tuple[float, int]]:
    """Return each configuration's mean score and its number of runs that ended well."""
    scores: dict[str, list[float]] = {}
    for result in read(file):
        if track.metric in result.metrics:
            scores.setdefault(result.configuration, []).append(result.metrics[track.metric])
    return {name: (mean(values), len(values)) for name, values in scores.items()}
