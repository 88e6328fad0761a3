"""What an enumeration's folder of results holds, read and checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lotterybench.errors import BadResults
from lotterybench.kinds.exact import Exact, exact_file, read_exact
from lotterybench.manifests import find_base
from lotterybench.paths import track_file
from lotterybench.ranking import Floats
from lotterybench.records import Base
from lotterybench.trials import Cheaper, Track


@dataclass(frozen=True)
class Enumeration:
    """What the files of a track's folder hold; `arms` and `counts` are those that are there."""

    track: Track
    base: Base
    full: Exact
    arms: dict[Cheaper, Exact]
    counts: dict[int, Exact]


def read_enumeration(folder: Path) -> Enumeration:
    """Return all results of an exact track.

    Raises `BadResults` where full data are missing or a file is of another track or pool.
    """
    file = track_file(folder)
    if not file.is_file():
        raise BadResults(f"{folder} holds no track.json; run the track with --out first")
    track = Track.read(file.read_bytes(), str(file))
    base = find_base(track.base)[0]
    whole = len(base.class_names)
    if not exact_file(folder, whole).is_file():
        raise BadResults(f"{exact_file(folder, whole)} is missing: the results on all classes")
    full = _read(exact_file(folder, whole), track)
    arms = {arm: exact_file(folder, whole, arm) for arm in track.cheaper}
    counts = {count: exact_file(folder, count) for count in range(2, whole)}
    return Enumeration(
        track,
        base,
        full,
        {arm: _read(file, track, full) for arm, file in arms.items() if file.is_file()},
        {count: _read(file, track, full) for count, file in counts.items() if file.is_file()},
    )


def _read(file: Path, track: Track, full: Exact | None = None) -> Exact:
    found = read_exact(file)
    if found.about.get("track_digest") != track.digest():
        raise BadResults(
            f"{file} is of another {track.name} than {track_file(file.parent)}; results of "
            "different pools are never joined (protocol §1)"
        )
    if full is not None and found.configurations != full.configurations:
        raise BadResults(f"{file} has another pool than full data (protocol §1)")
    return found


def accuracies(found: Exact) -> Floats:
    """Return accuracies (S, configurations, seeds) in per cent."""
    share: Floats = 100 * found.correct.astype(np.float64) / found.totals
    return share
