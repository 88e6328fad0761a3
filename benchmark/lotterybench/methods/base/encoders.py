"""Trained encoders: what they must be, and as safetensors files that timm loads."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from lotterybench.errors import BadRequest
from lotterybench.methods.base.backbones import build
from lotterybench.methods.base.shape import Task, Trained
from lotterybench.storage import staged


class BadShape(ValueError):
    """A method returned what is no encoder or no classifier of the task."""


@torch.no_grad()
def check_shapes(trained: Trained, task: Task) -> None:
    """Raise `BadShape` unless two images give features (2, d), and those logits (2, classes)."""
    encoder, classifier = trained.encoder, trained.classifier
    if not isinstance(encoder, nn.Module) or not isinstance(classifier, nn.Module | None):
        raise BadShape("a method returns modules: an encoder, and a classifier or None")
    encoder.eval()
    found = encoder(torch.zeros(2, *task.data.shape, device=task.device))
    if not isinstance(found, torch.Tensor) or found.ndim != 2 or len(found) != 2:
        raise BadShape(f"the encoder maps 2 images to {_said(found)}, not to features (2, d)")
    if not found.is_floating_point():
        raise BadShape(f"the encoder's features are {found.dtype}, not floats")
    if classifier is None:
        return
    logits = classifier.eval()(found)
    if not isinstance(logits, torch.Tensor) or logits.shape != (2, task.classes):
        raise BadShape(
            f"the classifier maps 2 features to {_said(logits)}, not to logits (2, {task.classes})"
        )


def _said(found: object) -> str:
    return str(tuple(found.shape)) if isinstance(found, torch.Tensor) else type(found).__name__


def digest_of_state(state: Mapping[str, torch.Tensor]) -> str:
    """Return the sha256 of a state's names, types, shapes and bytes, in the order of names."""
    digest = hashlib.sha256()
    for name in sorted(state):
        value = state[name].detach().cpu().contiguous()
        digest.update(f"{name}\0{value.dtype}\0{tuple(value.shape)}\0".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def save_encoder(encoder: nn.Module, path: Path, about: dict[str, str]) -> None:
    """Write an encoder's weights under the names that its timm class gives them.

    `about` goes into the file's header. `load_encoder` reads the file, and so does
    `timm.models.load_checkpoint(model, path)` for a model of the same shape.
    """
    weights = {
        name: value.detach().to("cpu", memory_format=torch.contiguous_format).clone()
        for name, value in encoder.state_dict().items()
    }
    with staged(path) as draft:
        save_file(weights, draft, about)


def load_encoder(path: Path) -> nn.Module:
    """Return the encoder that `--save-encoder` wrote, in evaluation mode, on the CPU.

    Raises `BadRequest` for another file, and for a method of one's own, whose shape only its code
    knows.
    """
    about = header(path)
    with safe_open(path, "pt") as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}
    encoder = build(
        about["backbone"], in_chans=about["in_chans"], size=about["size"], seed=0,
        width=about.get("width", 1.0),
    )  # fmt: skip
    try:
        encoder.load_state_dict(weights)
    except RuntimeError:
        raise BadRequest(f"{path} holds other weights than its {about['backbone']} has") from None
    return encoder.eval()


def header(path: Path) -> dict[str, Any]:
    """Return what an encoder file's header says: its backbone, for how many channels and pixels.

    Raises as `load_encoder` does.
    """
    try:
        with safe_open(path, "pt") as file:
            about: dict[str, Any] = json.loads((file.metadata() or {}).get("encoder", "{}"))
    except (OSError, ValueError, SafetensorError) as error:
        raise BadRequest(f"{path} is no encoder file: {error}") from None
    if not isinstance(about, dict) or not {"backbone", "in_chans", "size"} <= set(about):
        raise BadRequest(f"{path} does not say which backbone it holds")
    return about
