"""The stage that composes the scenes of detection and segmentation, once for a whole study."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save

from lotterybench.kinds.data import tensors
from lotterybench.kinds.pretrained.parts import everything, parts_of
from lotterybench.kinds.stages import Here, Made, Stage
from lotterybench.manifests import find_base
from lotterybench.methods.base.dense.composed import compose
from lotterybench.methods.base.dense.scenes import Scenes
from lotterybench.methods.base.dense.voc import voc_boxes, voc_masks
from lotterybench.methods.base.shape import stream
from lotterybench.records import sha256_of
from lotterybench.storage import write_whole
from lotterybench.studies.pretrained import Canvases

FILE = "scenes.safetensors"
USES = ("finding", "downstream", "test")


def scenes_of(stage: Stage, here: Here) -> Made:
    """Compose the scenes of each part, of that part's images alone."""
    canvases = Canvases(**stage.settings["canvases"])
    made = _voc(stage, canvases) if canvases.source == "voc" else _composed(stage, canvases)
    held = {
        f"{use}.{field.name}": getattr(scenes, field.name).contiguous()
        for use, scenes in made.items()
        for field in fields(Scenes)
    }
    content = save(held)
    write_whole(here.folder / FILE, content)
    counts = {use: float(len(scenes)) for use, scenes in made.items()}
    return Made(counts, {"scenes": hashlib.sha256(content).hexdigest()})


def load_scenes(folder: Path, use: str, device: str) -> Scenes:
    """Return the scenes of a part, on the device."""
    held = load_file(folder / FILE)
    parts = {field.name: held[f"{use}.{field.name}"] for field in fields(Scenes)}
    return Scenes(**parts).to(torch.device(device))


def _composed(stage: Stage, canvases: Canvases) -> dict[str, Scenes]:
    settings = stage.settings
    parts = parts_of(settings["base"], settings["shares"], settings["others"])
    made = {}
    for use in USES:
        images, labels = tensors(
            settings["base"], "test" if use == "test" else "train", None, "cpu"
        )
        rows = everything(labels) if use == "test" else torch.from_numpy(parts[use])
        made[use] = compose(
            images, labels, rows, count=getattr(canvases, use), side=canvases.side,
            most=canvases.most, scales=(canvases.smallest, canvases.largest),
            generator=_noise(settings["base"], canvases, use),
        )  # fmt: skip
    return made


def _noise(base: str, canvases: Canvases, use: str) -> np.random.Generator:
    digest = find_base(base)[0].digest
    return np.random.default_rng(stream(digest, f"scenes|{use}|{sha256_of(canvases.fields())}"))


def _voc(stage: Stage, canvases: Canvases) -> dict[str, Scenes]:
    """Read VOC; its training images are halved at random, to find masks and to train tickets."""
    read = voc_boxes if stage.settings["task"] == "detection" else voc_masks
    train, test = read("train", canvases.side), read("test", canvases.side)
    generator = np.random.default_rng(stream("voc", stage.settings["task"]))
    order = torch.from_numpy(generator.permutation(len(train)))
    half = len(train) // 2
    return {
        "finding": _taken(train, order[:half].sort().values),
        "downstream": _taken(train, order[half:].sort().values),
        "test": test,
    }


def _taken(scenes: Scenes, rows: torch.Tensor) -> Scenes:
    return Scenes(*(getattr(scenes, field.name)[rows] for field in fields(Scenes)))
