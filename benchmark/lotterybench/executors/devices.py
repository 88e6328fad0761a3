"""Which device runs are done on, and how workers share accelerators."""

from __future__ import annotations

import os
from pathlib import Path

from lotterybench.errors import BadRequest
from lotterybench.executors.base import RUNS_PER_CARD

# Device nodes of NVIDIA, of NVIDIA under WSL, and of AMD.
ACCELERATORS = (Path("/dev/nvidiactl"), Path("/dev/dxg"), Path("/dev/kfd"))


def choose_device(device: str) -> str:
    """Return `cuda` or `cpu` for `auto`; refuse a device that is not there."""
    # torch takes seconds to import: where no driver's node is, there is nothing to ask it.
    if device == "cpu" or (device == "auto" and not any(map(Path.exists, ACCELERATORS))):
        return "cpu"
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise BadRequest(f"device {device!r} cannot be used here ({reason}); try auto") from None
    return device


def spread(device: str, jobs: int | None, runs: int) -> list[tuple[str, float]]:
    """Return each worker's device and its share of that device's memory.

    `cuda` stands for all visible cards, which workers take in turn; on CPUs there is one worker a
    core, if `jobs` does not say otherwise. There are never more workers than `runs`.
    """
    if not device.startswith("cuda"):
        return [(device, 1.0)] * min(runs, jobs or os.cpu_count() or 1)
    cards = [device]
    if device == "cuda":
        import torch

        cards = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    return dealt(cards, min(runs, jobs or RUNS_PER_CARD * len(cards)))


def dealt(cards: list[str], workers: int) -> list[tuple[str, float]]:
    """Deal cards to workers in turn; those of one card share its memory equally."""
    places = [cards[index % len(cards)] for index in range(workers)]
    return [(card, 1 / places.count(card)) for card in places]
