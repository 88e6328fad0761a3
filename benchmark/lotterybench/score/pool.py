"""Who is ranked: the scored configurations of one comparison, and their scores as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lotterybench.ranking import Floats
from lotterybench.records import Subset
from lotterybench.trials import Configuration, Result, Track

ENOUGH = 5 / 6  # of a configuration's seeds must end well on full data (protocol §1)
RANDOM_INIT = "random-init"
Runs = Mapping[str, Sequence[Result]]  # by configuration, in seed order


@dataclass(frozen=True)
class Scored:
    """The configurations of a comparison and who is left out, with the reason.

    `groups` int64 (n,) numbers families from 0.
    """

    entries: list[Configuration]
    left_out: dict[str, str]

    @property
    def families(self) -> list[str]:
        """The families, by name."""
        return sorted({entry.family for entry in self.entries})

    @property
    def groups(self) -> NDArray[np.int64]:
        """Each configuration's family."""
        names = self.families
        return np.array([names.index(entry.family) for entry in self.entries], dtype=np.int64)

    def scores(self, runs: Runs, metric: str, *, full: bool) -> Floats:
        """Return seed scores (n, seeds) in per cent.

        On full data a run without a score is NaN, for membership is decided already; on any
        other arm it failed, is −inf, and ranks its configuration last (protocol §1).
        """
        nothing = np.nan if full else -np.inf
        return np.array(
            [
                [run.metrics[metric] if run.status == "ok" else nothing for run in runs[e.name]]
                for e in self.entries
            ]
        ).reshape(len(self.entries), -1)

    def axes(self) -> list[list[int]]:
        """Return the declared axes: configurations that differ in one setting, by its level."""
        found: dict[str, list[tuple[float, int]]] = {}
        for place, entry in enumerate(self.entries):
            level = entry.config.get(entry.axis) if entry.axis else None
            if isinstance(level, int | float):
                rest = {k: v for k, v in entry.config.items() if k != entry.axis}
                key = f"{entry.family}|{entry.method}|{entry.axis}|{sorted(rest.items())}"
                found.setdefault(key, []).append((float(level), place))
        return [[place for _, place in sorted(axis)] for axis in found.values() if len(axis) > 1]


def by_configuration(track: Track, results: Sequence[Result]) -> Runs:
    """Return each configuration's runs in seed order."""
    found: dict[str, list[Result]] = {entry.name: [] for entry in track.configurations}
    for result in sorted(results, key=lambda r: r.seed):
        found[result.configuration].append(result)
    return found


def scored(track: Track, full: Runs, subset: Subset) -> Scored:
    """Return who is ranked on a subset: decided on full data and on what chose the subset.

    Out are those that fail or collapse on full data, and every family that occurs in
    `selected_with`, as a proxy or as a method whose results chose the subset (protocol §1, §6).
    """
    shown = subset.selected_with
    proxies = set(shown.proxy.families) if shown.proxy else set()
    named = {e.family for e in track.configurations if e.name in shown.methods}
    chosen_with = {*shown.families, *named}
    floor = _random_init(track, full)
    entries, left_out = [], {}
    for entry in track.scored():
        failing = _failing(track, full[entry.name], floor)
        reason = f"{failing} (protocol §1)" if failing else None
        if entry.family in proxies | chosen_with:
            did = "recorded the signals that chose" if entry.family in proxies else "chose"
            reason = f"family {entry.family} {did} the subset (protocol §6)"
        if reason is None:
            entries.append(entry)
        else:
            left_out[entry.name] = reason
    return Scored(entries, left_out)


def _failing(track: Track, runs: Sequence[Result], floor: float | None) -> str | None:
    """Say why a configuration is no member of the pool, from its runs on full data."""
    good = [run for run in runs if run.status == "ok"]
    if not runs or len(good) < ENOUGH * len(runs):
        return f"failed on full data ({len(good)} of {len(runs)} seeds ended well)"
    if sum(bool(run.flags) for run in good) * 2 > len(good):
        return f"collapsed on full data ({', '.join(sorted({f for r in good for f in r.flags}))})"
    mean = float(np.mean([run.metrics[track.metric] for run in good]))
    if floor is not None and mean <= floor:
        return f"no better than random initialisation on full data ({mean:.1f} %)"
    return None


def _random_init(track: Track, full: Runs) -> float | None:
    """Return what random initialisation reaches, plus two standard errors; None if not run."""
    names = [e.name for e in track.configurations if e.method == RANDOM_INIT]
    values = [
        run.metrics[track.metric] for name in names for run in full[name] if run.status == "ok"
    ]
    if track.probe != "frozen" or len(values) < 2:
        return None
    return float(np.mean(values) + 2 * np.std(values, ddof=1) / len(values) ** 0.5)
