"""Boards, subsets and bases to test the site with."""

import random
from statistics import mean
from typing import Any

import numpy as np

from lotterybench.fidelities import Board, Fidelity, Score, SubsetScores
from lotterybench.ranking import kendall_tau
from lotterybench.records import Base, Subset
from lotterybench.standings import Nulls, Ranked, Selectors
from lotterybench.trials import Track

ZERO = "0" * 64
HOSTILE = "\"'><script>alert('x')</script>&amp; onload=\"x\""
SMALL_POOL = "4 families and 12 configurations: a verdict needs 12 and 36"
Site = tuple[list[Board], dict[str, Subset], dict[str, Base]]


def a_base(name: str = "blobs", **changes: Any) -> Base:
    split = {"rows": 5000, "digest": ZERO}
    record = {
        "schema_version": 1, "id": name, "title": name.title(), "source": "https://example.org/x",
        "hub_id": "someone/blobs", "revision": "a" * 40, "key_kind": "pixels", "mode": "RGB",
        "size": (8, 8), "splits": {"train": split, "test": split},
        "class_names": [f"class-{label}" for label in range(10)], "licence": "CC-BY-4.0",
        "keyring_digest": ZERO, "digest": ZERO,
    }  # fmt: skip
    return Base.model_validate(record | changes)


def a_subset(name: str = "uniform", kind: str = "samples", **changes: Any) -> Subset:
    record = {
        "schema_version": 1, "id": f"blobs/{name}", "version": 1, "base": "blobs",
        "base_digest": ZERO, "kind": kind, "selector": "uniform", "settings": {"strata": 10},
        "seed": 3, "selected_with": {"labels": True},
        "created_with": {"lotterybench": "0.1.0", "code": ZERO}, "digest": "d" * 64,
    }  # fmt: skip
    if kind == "classes":
        record |= {"budget": {"classes": 2}, "classes": ["class-1", "class-4"]}
    else:
        positions = {"count": 500, "columns": ["position"], "sha256": ZERO}
        record |= {"budget": {"count": 500}, "positions": positions}
    return Subset.model_validate(record | changes)


def a_track(count: int = 12, **changes: Any) -> Track:
    pool = [
        {"name": f"method-{at:02}", "family": f"family-{at // 3}", "method": "simclr",
         "config": {"lr": 0.05 * (at + 1), "width": 32}}
        for at in range(count)
    ]  # fmt: skip
    pool.append({"name": "random-init", "family": "none", "method": "random-init"})
    record = {
        "schema_version": 1, "name": "blobs-ranking", "version": 1, "title": "Blobs, small nets",
        "base": "blobs", "kind": "ranking", "probe": "classifier", "metric": "accuracy",
        "seeds": {"full": 6, "subset": 3}, "configurations": pool, "anchors": ["random-init"],
    }  # fmt: skip
    return Track.model_validate(record | changes)


def some_scores(track: Track, seeds: int, noise: float, rng: random.Random) -> list[Score]:
    found = []
    for at, entry in enumerate(track.configurations):
        anchor = entry.name in track.anchors
        level = 0.2 if anchor else 0.35 + 0.6 * at / len(track.configurations)
        scores = [min(1.0, max(0.0, rng.gauss(level, noise))) for _ in range(seeds)]
        found.append(
            Score(configuration=entry.name, family=entry.family, anchor=anchor,
                  mean=mean(scores), scores=scores)
        )  # fmt: skip
    return found


def a_fidelity(track: Track, subset: Subset, tau: float | None = 0.71, **changes: Any) -> Fidelity:
    record = {
        "track": track.name, "track_version": track.version, "track_digest": track.digest(),
        "subset": subset.id, "subset_version": subset.version, "subset_digest": subset.digest,
        "scope": "subset" if subset.kind == "classes" else "full", "metric": track.metric,
        "configurations": len(track.scored()), "seeds_full": 6, "seeds_subset": 3,
        "families": len({entry.family for entry in track.scored()}), "tau": tau,
        "rho": None if tau is None else min(1.0, tau + 0.1), "ceiling": 0.86, "cost_ratio": 0.1,
        "verdict": "descriptive", "why": SMALL_POOL,
    }  # fmt: skip
    if tau is not None:
        record["sensitivity"] = {
            "low": max(-1, tau - 0.21), "high": min(1, tau + 0.13), "resampled": "configurations"
        }  # fmt: skip
    return Fidelity.model_validate(record | changes)


def a_tau(full: list[Score], scores: list[Score]) -> float | None:
    sides = [[one.mean for one in side if not one.anchor] for side in (full, scores)]
    return kendall_tau(*np.array(sides, float))


def crowd(subsets: int = 40, count: int = 12, seed: int = 0) -> Site:
    """A site of one large board with every kind of row, and of one that waits for its runs."""
    rng = random.Random(seed)
    track = a_track(count)
    manifests = [
        a_subset(
            f"{'wordnet' if at % 4 == 3 else 'uniform'}-{at:02}",
            "classes" if at % 4 == 3 else "samples",
            **({"superseded_by": "blobs/uniform-01@1"} if at == 0 else {}),
            **({"withdrawn": "a wrong digest"} if at == 4 else {}),
        )
        for at in range(subsets)
    ]
    full = some_scores(track, 6, 0.02, rng)
    entries = []
    for at, manifest in enumerate(manifests):
        noise = rng.choice([0.02, 0.1, 0.25])
        scores = some_scores(track, 3, noise, rng)
        tau = None if at == 5 else a_tau(full, scores)
        changes: dict[str, Any] = {}
        if count >= 36 and tau is not None:
            low, high = max(-1.0, tau - 0.18), min(1.0, tau + 0.06)
            verdict = "faithful" if low >= 0.7 else "refuted" if high < 0.7 else "undecided"
            if verdict == "faithful" and tau > 0.93:
                verdict = "ticket"
            why = f"lower end {low:.2f}, upper end {high:.2f}, beside control {tau - 0.1:.2f}"
            interval = {"low": low, "high": high, "resampled": "families"}
            changes = {"verdict": verdict, "why": why, "interval": interval}
        if tau is None:
            changes["why"] = "all scores of one side are tied"
        waits = at in (6, 7)
        entries.append(
            SubsetScores(
                subset=manifest.id, subset_version=1, missing=17 if waits else 0,
                fidelity=None if waits else a_fidelity(track, manifest, tau, **changes),
                scores=scores[: 9 if waits else None],
            )
        )  # fmt: skip
    waiting = a_track(
        4, name="blobs-later", title="Blobs, frozen encoders", probe="frozen", metric="knn"
    )
    later = [SubsetScores(subset=manifests[1].id, subset_version=1, missing=12)]
    boards = [
        Board(track=track, track_digest=track.digest(), full=full, subsets=entries,
              **(standings() if count >= 36 else {})),
        Board(track=waiting, track_digest=waiting.digest(), full=[], missing_full=30,
              subsets=later),
    ]  # fmt: skip
    return boards, {one.ref: one for one in manifests}, {"blobs": a_base()}


def standings() -> dict[str, Any]:
    """What a board that ranks its subsets says of them, of the null and of selectors."""
    pair = {"one": "k-means", "other": "el2n easiest=true", "difference": 0.2, "p": 0.001}
    draws = [f"blobs/uniform-{at:02}@1" for at in range(5)]
    shape = {"kind": "samples", "size": 500}
    return {
        "ranked": Ranked(seeds=0.9, families=0.8, holds=True),
        "nulls": [
            Nulls.model_validate(shape | {"tau": [0.4, None, 0.6], "missing": 2}),
            Nulls.model_validate(shape | {"tau": [], "matched": "blobs/uniform-01"}),
        ],
        "selectors": Selectors.model_validate(
            {
                "scores": [
                    shape | {"selector": "k-means", "random": True, "subsets": draws, "tau": 0.71,
                             "p_t": 0.01, "p_holm": 0.02},
                    shape | {"selector": "d2", "random": True, "subsets": draws[:2],
                             "why": "2 of 5 draws (protocol §5)"},
                ],
                "differences": [pair | {"p_holm": 0.003}, pair | {"other": "d2", "p_holm": 0.4}],
            }
        ),
    }  # fmt: skip


def hostile() -> Site:
    """A site of which every text that a person may write is an attempt to break out."""
    base = a_base(title=HOSTILE, source=HOSTILE, hub_id=HOSTILE, revision=HOSTILE, licence=HOSTILE,
                  citation=HOSTILE, class_names=[HOSTILE, "other", "third"])  # fmt: skip
    subset = a_subset("evil", "classes", classes=[HOSTILE], selector=HOSTILE,
                      settings={HOSTILE: HOSTILE, "list": [HOSTILE]}, superseded_by=HOSTILE,
                      withdrawn=HOSTILE, selected_with={"methods": [HOSTILE]},
                      created_with={"lotterybench": HOSTILE, "code": ZERO})  # fmt: skip
    track = a_track(2, title=HOSTILE)
    evil = {"family": HOSTILE, "method": HOSTILE, "config": {HOSTILE: HOSTILE}}
    pool = [entry.model_copy(update=evil) for entry in track.configurations]
    track = track.model_copy(update={"configurations": pool})
    scores = some_scores(track, 3, 0.1, random.Random(1))
    fidelity = a_fidelity(track, subset, why=HOSTILE, metric=HOSTILE)
    entry = SubsetScores(subset=subset.id, subset_version=1, scores=scores, fidelity=fidelity)
    board = Board(track=track, track_digest=track.digest(), full=scores, subsets=[entry])
    return [board], {subset.ref: subset}, {"blobs": base}
