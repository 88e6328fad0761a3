"""A planned run, how it is carried out here, and the result of its attempt."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lotterybench.provenance import code_digest, versions
from lotterybench.records import Subset
from lotterybench.results import scope
from lotterybench.trials import (
    Cheaper,
    Configuration,
    Cost,
    Curve,
    Result,
    Setting,
    Status,
    Track,
    arm_name,
    run_key,
)

ArmKind = Literal["full", "subset", "control", "low-resolution", "narrower"]
CODE = ("methods/**/*.py", "kinds/*.py")


@dataclass(frozen=True)
class Run:
    """One planned run: a configuration and a seed on full data (subset None) or on a subset.

    `cheaper` makes it one of the arms on full data that cost less.
    """

    track: Track
    subset: Subset | None
    positions: NDArray[np.int64] | None
    base_digest: str
    configuration: Configuration
    seed: int
    cheaper: Cheaper | None = None

    @property
    def arm(self) -> ArmKind:
        """Which arm of the comparison the run belongs to."""
        if self.cheaper is not None:
            return self.cheaper.arm
        return "full" if self.subset is None else "subset"

    @property
    def amount(self) -> float | None:
        """How much of what a cheaper arm takes less of."""
        return self.cheaper.amount if self.cheaper else None

    @property
    def config(self) -> dict[str, Setting]:
        """The configuration's settings, as the run's arm trains it."""
        config = self.configuration.config
        return self.cheaper.applied(config) if self.cheaper else config

    @property
    def resolution(self) -> int | None:
        """The side in pixels of the images, None for the base's own."""
        if self.cheaper is not None and self.cheaper.arm == "low-resolution":
            return int(self.cheaper.amount)
        return self.track.resolution

    @property
    def scope(self) -> Literal["full", "subset"]:
        """Which test images count: all, or those of the subset's classes."""
        return scope(self.track, self.subset)

    @property
    def data_digest(self) -> str:
        """What the seeds of the run's random numbers depend on, of the data."""
        return self.base_digest if self.subset is None else self.subset.data_digest()

    @property
    def key(self) -> str:
        """The key under which the run is planned and its result is found again."""
        entry = self.configuration
        return run_key(
            self.track.name, self.track.version, arm_name(self.arm, self.amount),
            self.data_digest, entry.name, entry.method, self.config, self.seed,
        )  # fmt: skip

    def __str__(self) -> str:
        where = self.subset.ref if self.subset else arm_name(self.arm, self.amount)
        return f"{self.configuration.name} on {where}, seed {self.seed}"


@dataclass(frozen=True)
class Conduct:
    """How runs are carried out here: what may differ between machines without a new plan.

    `checkpoints` is a folder for trainings half done, kept about every `every` seconds.
    `encoders` is a folder for trained encoders. `precision` None means bf16 on an accelerator
    and fp32 elsewhere. `own` are methods of the user's, as `FILE.py:NAME`. `shards` is a folder
    of shards from which training images are streamed, for bases that memory does not hold.
    """

    checkpoints: Path | None = None
    every: float = 60.0
    encoders: Path | None = None
    precision: Literal["fp32", "bf16"] | None = None
    compiled: bool = False
    own: tuple[str, ...] = ()
    shards: Path | None = None


@dataclass(frozen=True)
class Attempt:
    """What came of a run: a status with its reason, or metrics (per cent, unrounded).

    `flops` are the encoder's, of a forward pass on one image. `outranked` are a full-data run's
    test items, uint8 (T, ⌈classes / 8⌉) as `items` packs them.
    """

    status: Status
    reason: str | None = None
    metrics: dict[str, float] | None = None
    images_seen: int = 0
    flags: tuple[str, ...] = ()
    curve: tuple[Curve, ...] = ()
    precision: Literal["fp32", "bf16"] = "fp32"
    data: Literal["resident", "streamed"] = "resident"
    flops: float | None = None
    outranked: NDArray[np.uint8] | None = field(default=None, compare=False)


class Done(NamedTuple):
    """A result, the seconds it took here, its training's curve, and its test items."""

    result: Result
    seconds: float
    curve: tuple[Curve, ...] = ()
    outranked: NDArray[np.uint8] | None = None


def record(run: Run, attempt: Attempt, device: str, code: tuple[str, ...] = CODE) -> Result:
    """Return the result line of a run's attempt on a device, given by its full name.

    `code` are the files, as globs, whose content decides the numbers.
    """
    entry = run.configuration
    return Result(
        schema_version=1,
        track=run.track.name,
        track_version=run.track.version,
        track_digest=run.track.digest(),
        arm=run.arm,
        amount=run.amount,
        scope=run.scope,
        base_digest=run.base_digest,
        subset=run.subset.id if run.subset else None,
        subset_version=run.subset.version if run.subset else None,
        subset_digest=run.subset.digest if run.subset else None,
        data_digest=run.data_digest,
        configuration=entry.name,
        family=entry.family,
        method=entry.method,
        config=run.config,
        epochs=int(run.config.get("epochs", 0)),
        seed=run.seed,
        status=attempt.status,
        reason=attempt.reason,
        metrics=attempt.metrics or {},
        flags=list(attempt.flags),
        precision=attempt.precision,
        data=attempt.data,
        cost=Cost(images_seen=attempt.images_seen, device=device, flops=attempt.flops),
        software=versions("numpy", "torch", "timm", "lightly"),
        code_digest=code_digest(*code),
        origin="reference",
        isolation="rerun-unsandboxed",
    )
