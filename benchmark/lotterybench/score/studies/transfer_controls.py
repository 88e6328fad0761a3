"""Native tickets against what they are compared with."""

from __future__ import annotations

import numpy as np

from lotterybench.score.studies.transfer_scores import (
    BySeed,
    ControlKey,
    Key,
    Scores,
    paired,
    pooled,
)
from lotterybench.studies.transfer import Source
from lotterybench.studies.transfer_report import ControlCell, ControlPooled


def control_cells(scores: Scores) -> list[ControlCell]:
    """Return each control on each target at each level; the dense net is compared at all levels."""
    found = []
    for key, held in scores.controls.items():
        accuracy = paired(scores.control(key))
        assert accuracy is not None
        native = _native(scores, key, key.level)
        found.append(
            ControlCell(
                control=key.control,
                target=key.target,
                by=key.by,
                level=key.level,
                layerwise=key.layerwise,
                accuracy=accuracy,
                native_less=paired(native, scores.control(key)),
                collapsed=float(np.mean([one.metrics["collapsed"] for one in held.values()])),
                weights=float(np.mean([one.metrics["kept"] for one in held.values()])),
            )
        )
    return found


def pooled_controls(scores: Scores) -> list[ControlPooled]:
    """Pool each control over targets, optimisers and the tickets' levels; pruned globally."""
    return [_pooled(scores, name) for name in scores.study.controls]


def _pooled(scores: Scores, name: str) -> ControlPooled:
    keys = [key for key in scores.controls if key.control == name and not key.layerwise]
    held = [one for key in keys for one in scores.controls[key].values()]
    levels = scores.study.levels
    sides = [
        (_native(scores, key, level), scores.control(key))
        for key in keys
        for level in (levels if name == "dense" else [key.level])
    ]
    return ControlPooled(
        control=name,
        cells=len(sides),
        trainings=len(held),
        collapsed=sum(one.metrics["collapsed"] > 0 for one in held),
        relative=_relative(scores, name),
        native_less=pooled(sides),
    )


def _native(scores: Scores, key: ControlKey, level: int) -> BySeed:
    native = Source(domain=key.target, in_each=key.layerwise)
    return scores.transfers.get(Key(native, key.target, key.by, key.by, level), {})


def _relative(scores: Scores, name: str) -> float | None:
    """Return the mean ratio of a control's weights to those that the random masks keep."""
    ratios = []
    for key, held in scores.controls.items():
        if key.control != name or key.layerwise:
            continue
        tickets = scores.controls.get(key._replace(control="random"), {})
        ratios += [
            held[seed].metrics["kept"] / tickets[seed].metrics["kept"]
            for seed in held.keys() & tickets.keys()
            if tickets[seed].metrics["kept"]
        ]
    return float(np.mean(ratios)) if ratios else None
