"""The pilot: a few configurations and seeds that say whether a track can reach a verdict (§2)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lotterybench.errors import BadRequest
from lotterybench.fidelities import Pilot
from lotterybench.manifests import load_subset_manifest
from lotterybench.nulls import RANDOM, primary_stratum, stratum
from lotterybench.paths import pilot_file
from lotterybench.ranking import kendall_tau
from lotterybench.ranking.base.arrays import seed_means
from lotterybench.ranking.base.gaussian import Pool
from lotterybench.ranking.components import seed_ratio
from lotterybench.ranking.power import Design, noise_free, power
from lotterybench.records import Subset
from lotterybench.results import read, results_file
from lotterybench.run import run_track
from lotterybench.score.pool import Scored, by_configuration
from lotterybench.storage import write_whole
from lotterybench.tracks import find_track
from lotterybench.trials import Cheaper, Configuration, Track

CONFIGURATIONS, SEEDS = 8, 3


def run_pilot(
    track: str | Track, out: Path, *, device: str = "auto", jobs: int | None = None
) -> Pilot:
    """Run 8 configurations with 3 seeds on full data, one random subset and the nearest control.

    These runs are among those that the track plans, and are not made again. The record is written
    beside them, and scoring reads it. Raises `BadRequest` for a track without a random subset or
    whose methods do not differ.
    """
    track = find_track(track) if isinstance(track, str) else track
    subset, control = random_subset(track), nearest_control(track)
    chosen = spread_over_families(track.scored(), CONFIGURATIONS)
    run_track(
        track, out, subsets=[subset.ref], only=[entry.name for entry in chosen], seeds=SEEDS,
        device=device, jobs=jobs, cheaper=[control] if control else [],
    )  # fmt: skip
    found = pilot_of(track, out / track.name, chosen, subset, control)
    write_whole(pilot_file(out / track.name), found.pretty())
    return found


def random_subset(track: Track) -> Subset:
    """Return the first random subset of a track, of the primary budget if it names one."""
    subsets = [load_subset_manifest(ref)[0] for ref in track.subsets]
    random = [subset for subset in subsets if subset.selector in RANDOM.values()]
    primary = [subset for subset in random if stratum(subset) == primary_stratum(track)]
    if not random:
        raise BadRequest(f"{track.name} has no random subset; a pilot needs one")
    return (primary or random)[0]


def nearest_control(track: Track) -> Cheaper | None:
    """Return the cheapest equal-cost control that a track plans, if it plans one."""
    controls = [arm for arm in track.cheaper if arm.arm == "control"]
    return min(controls, key=lambda arm: arm.amount) if controls else None


def spread_over_families(entries: Sequence[Configuration], count: int) -> list[Configuration]:
    """Return `count` configurations: the first of each family, then the second, in even steps."""
    turn: dict[str, int] = {}
    rounds = []
    for place, entry in enumerate(entries):
        turn[entry.family] = turn.get(entry.family, -1) + 1
        rounds.append((turn[entry.family], place))
    firsts = [entries[place] for number, place in sorted(rounds) if number == 0]
    if len(firsts) > count:
        return [firsts[i * len(firsts) // count] for i in range(count)]
    return [entries[place] for _, place in sorted(rounds)[:count]]


def pilot_of(
    track: Track,
    folder: Path,
    chosen: Sequence[Configuration],
    subset: Subset,
    control: Cheaper | None,
) -> Pilot:
    """Return what the runs in a track's folder say of q and of the power of its verdicts."""
    pool = Scored(list(chosen), {})
    full = _scores(track, folder, pool, None, None)
    there = _scores(track, folder, pool, subset, None)
    q_full, q_subset = seed_ratio(full), seed_ratio(there)
    if q_full is None or q_subset is None:
        raise BadRequest(
            f"the methods of {track.name} do not differ beyond their seeds: no pool to rank"
        )
    tau = None
    if control is not None:
        beside = _scores(track, folder, pool, None, control)
        tau = kendall_tau(seed_means(full), seed_means(beside))
    families = len({entry.family for entry in track.scored()})
    each = max(1, len(track.scored()) // families)
    seeds = track.seeds.full, track.seeds.subset
    truth = None if tau is None else noise_free(tau, q_full, q_subset, SEEDS, SEEDS)
    found = power(Design(Pool(families, each), *seeds, q_full, q_subset, 1.0, truth))
    return Pilot(
        schema_version=1,
        track=track.name,
        track_digest=track.digest(),
        configurations=[entry.name for entry in chosen],
        seeds=SEEDS,
        subset=subset.ref,
        q_full=q_full,
        q_subset=q_subset,
        tau_control=tau,
        power=found.faithful,
        ticket=found.ticket,
    )


def _scores(
    track: Track, folder: Path, pool: Scored, subset: Subset | None, cheaper: Cheaper | None
) -> np.ndarray:
    """Return an arm's scores (configurations, 3); a run that failed has none."""
    lines = [r for r in read(results_file(folder, subset, cheaper)) if r.seed < SEEDS]
    return pool.scores(by_configuration(track, lines), track.metric, full=subset is None)
