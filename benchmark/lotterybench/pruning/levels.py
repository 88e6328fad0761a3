"""A level of iterative pruning as one file, from which the next is made."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from lotterybench.errors import BadRequest
from lotterybench.pruning.functional import State
from lotterybench.pruning.masks import unpacked
from lotterybench.pruning.rounds import Level
from lotterybench.storage import write_whole

PARTS = ("masks", "point", "final")


def save_level(level: Level, path: Path) -> None:
    """Write a level as a safetensors file, whole: its number, packed masks and both states."""
    parts = {"masks": level.masks.packed(), "point": level.point, "final": level.final}
    tensors = {
        f"{part}.{name}": value.detach().cpu().contiguous().clone()
        for part, held in parts.items()
        for name, value in held.items()
    }
    about = {"number": level.number, "masks": level.masks.about()}
    write_whole(path, save(tensors, {"level": json.dumps(about)}))


def load_level(path: Path) -> Level:
    """Return the level that `save_level` wrote; raise `BadRequest` for any other file."""
    try:
        with safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {})["level"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        packed, point, final = (_part(tensors, part) for part in PARTS)
        return Level(int(about["number"]), unpacked(about["masks"], packed), point, final)
    except (OSError, SafetensorError, ValueError, TypeError, KeyError) as error:
        raise BadRequest(f"{path} is no file of a pruning level: {error}") from None


def _part(tensors: dict[str, Tensor], part: str) -> State:
    start = f"{part}."
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
