"""A stage of a study: what it is, what it needs, and the function that carries it out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lotterybench.records import sha256_of
from lotterybench.registry import Registry
from lotterybench.trials import Setting

if TYPE_CHECKING:
    from lotterybench.kinds.stages.artefact import Made


@dataclass(frozen=True)
class Stage:
    """One stage: `does` names the function, `settings` are all that it depends on besides needs.

    `settings` are JSON; `needs` are stages by the role they play. `arm`, `of` and `seed` are what
    its finding is called; they are in the key as well, so that no two stages share noise. `images`
    is how many images it trains on at most; it is for forecasts and in no key.
    """

    does: str
    arm: str
    seed: int
    settings: dict[str, Any]
    needs: dict[str, Stage] = field(default_factory=dict)
    of: dict[str, Setting] = field(default_factory=dict)
    images: int = 0

    @cached_property
    def key(self) -> str:
        """The sha256 of everything that determines the numbers, those of its needs included."""
        needs = {role: stage.key for role, stage in self.needs.items()}
        return sha256_of([self.does, self.arm, self.of, self.seed, self.settings, needs])

    def __str__(self) -> str:
        where = ", ".join(f"{name} {value}" for name, value in self.of.items())
        return (
            f"{self.does} of {self.arm}" + (f", {where}" if where else "") + f", seed {self.seed}"
        )


@dataclass(frozen=True)
class Here:
    """Where a stage is carried out: its own folder, those of its needs, and the device.

    A file in `folder` must appear whole. `checkpoint` is a file for a training half done, kept
    about every `every` seconds; it is gone once the stage is done.
    """

    folder: Path
    needs: dict[str, Path]
    device: str
    every: float = 60.0

    @property
    def checkpoint(self) -> Path:
        """The file of a training half done."""
        return self.folder / "training.safetensors"


# A stage's function writes into its folder and returns what came of it.
Work = Callable[[Stage, Here], "Made"]

work: Registry[Work] = Registry("stage")

_KINDS = "lotterybench.kinds"
work.lazy("round", at=f"{_KINDS}.tickets.rounds:round_of")
work.lazy("ticket", at=f"{_KINDS}.tickets.evaluated:ticket_of")
work.lazy("baseline", at=f"{_KINDS}.tickets.evaluated:baseline_of")
work.lazy("set-overlap", at=f"{_KINDS}.tickets.overlaps:set_overlap_of")
work.lazy("transfer-source", at=f"{_KINDS}.transfer.rounds:round_of")
work.lazy("transfer", at=f"{_KINDS}.transfer.targets:transfer_of")
work.lazy("transfer-control", at=f"{_KINDS}.transfer.targets:control_of")
work.lazy("transfer-overlap", at=f"{_KINDS}.transfer.targets:overlap_of")
work.lazy("pretraining", at=f"{_KINDS}.pretrained.pretraining:pretraining_of")
work.lazy("pretask-round", at=f"{_KINDS}.pretrained.pretraining:pretask_round_of")
work.lazy("scenes", at=f"{_KINDS}.pretrained.scenes:scenes_of")
work.lazy("downstream-round", at=f"{_KINDS}.pretrained.downstream:downstream_round_of")
work.lazy("downstream", at=f"{_KINDS}.pretrained.downstream:downstream_of")
work.lazy("mask-overlap", at=f"{_KINDS}.pretrained.overlaps:mask_overlap_of")
work.lazy("prior", at=f"{_KINDS}.acceleration.priors:prior_of")
work.lazy("prior-targets", at=f"{_KINDS}.acceleration.targets:prior_targets_of")
work.lazy("linear-map", at=f"{_KINDS}.acceleration.maps:linear_map_of")
work.lazy("tuning", at=f"{_KINDS}.acceleration.tuning:tuning_of")
work.lazy("rate", at=f"{_KINDS}.acceleration.tuning:rate_of")
work.lazy("accelerated", at=f"{_KINDS}.acceleration.runs:accelerated_of")
