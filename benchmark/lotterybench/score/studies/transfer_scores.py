"""Accuracies of a transfer study by what was trained on what; how they are paired and pooled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from lotterybench.score.studies.figures import figure_or_none
from lotterybench.studies import Finding
from lotterybench.studies.figures import Figure
from lotterybench.studies.transfer import Source, TransferStudy

BySeed = dict[int, float]


class Key(NamedTuple):
    """A ticket on a target: where and with which optimiser it was found, trained by which."""

    source: Source
    target: str
    found: str
    by: str
    level: int


class ControlKey(NamedTuple):
    """A control on a target; `layerwise` where its masks come from a layer-wise native ticket."""

    control: str
    target: str
    by: str
    level: int
    layerwise: bool


class Scores:
    """Test accuracies in per cent by seed, of tickets and of controls; failures have none."""

    def __init__(self, study: TransferStudy, findings: Sequence[Finding]) -> None:
        self.study = study
        self.transfers: dict[Key, BySeed] = {}
        self.controls: dict[ControlKey, dict[int, Finding]] = {}
        sources = {source.name: source for source in study.sources}
        for one in findings:
            if one.status != "ok":
                continue
            if one.stage == "transfer":
                target, found, by = (str(one.of[name]) for name in ("target", "found", "by"))
                key = Key(sources[one.arm], target, found, by, int(one.of["level"]))
                self.transfers.setdefault(key, {})[one.seed] = one.metrics["test"]
            elif one.stage == "transfer-control":
                target, by, level = str(one.of["target"]), str(one.of["by"]), int(one.of["level"])
                control = ControlKey(one.arm, target, by, level, "layerwise" in one.of)
                self.controls.setdefault(control, {})[one.seed] = one

    def transferred(self, same: bool = True) -> list[Key]:
        """Return the tickets that are not of the target's own domain; `same`: of one optimiser."""
        return [
            key
            for key in self.transfers
            if key.source.domain != key.target and (key.found == key.by or not same)
        ]

    def random(self, key: Key) -> BySeed:
        """Return the random masks of the native ticket's density in each tensor."""
        return self.control(ControlKey("random", key.target, key.by, key.level, key.source.in_each))

    def control(self, key: ControlKey) -> BySeed:
        """Return a control's accuracies, {} if there are none."""
        return {seed: one.metrics["test"] for seed, one in self.controls.get(key, {}).items()}

    def native_key(self, key: Key) -> Key:
        """Return the native ticket that a ticket is compared with."""
        native = Source(domain=key.target, in_each=key.source.in_each)
        return Key(native, key.target, key.by, key.by, key.level)

    def native(self, key: Key) -> BySeed:
        """Return the accuracies of that native ticket, {} if there are none."""
        return self.transfers.get(self.native_key(key), {})


def paired(first: BySeed, second: BySeed | None = None) -> Figure | None:
    """Return the mean over seeds of `first`, or of `first` − `second` where both have the seed."""
    return pooled([(first, second)])


def pooled(pairs: Iterable[tuple[BySeed, BySeed | None]]) -> Figure | None:
    """Average the (differences of the) cells within each seed, then over seeds.

    A seed counts if every cell has it, so that all seeds are of the same cells.
    """
    sides = list(pairs)
    held = [
        set(first) if second is None else first.keys() & second.keys() for first, second in sides
    ]
    if not held:
        return None
    return figure_or_none(
        sum(first[seed] - (0 if second is None else second[seed]) for first, second in sides)
        / len(sides)
        for seed in sorted(set.intersection(*held))
    )
