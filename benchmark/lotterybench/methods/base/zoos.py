"""Pretrained networks of timm, torchvision and open_clip, without their heads, as images suit them.

Each of the three says how its images are to be resized, cropped and normalised; that is kept, and
carried out on whole batches of uint8 tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lotterybench.errors import BadRequest
from lotterybench.records import canonical_json
from lotterybench.registry import unknown


class Pretrained(NamedTuple):
    """A network and what its images must look like.

    `prepare` maps uint8 images (n, C, H, W) of any size to floats (n, `*takes`), `preprocessing`
    tells all that it does.
    """

    encoder: nn.Module
    prepare: Callable[[Tensor], Tensor]
    preprocessing: str
    takes: tuple[int, int, int]


def from_timm(spec: str, name: str) -> Pretrained:
    """Return a timm model with its pretrained weights; errors as `find_prior` raises them."""
    import timm
    from timm.data.config import resolve_model_data_config

    if not timm.is_model(name):
        raise unknown("timm model", name, timm.list_models())
    encoder = _fetched(spec, lambda: timm.create_model(name, pretrained=True, num_classes=0))
    wants = resolve_model_data_config(encoder)  # type: ignore[no-untyped-call]
    return _prepared(encoder, wants)


def from_open_clip(spec: str, name: str) -> Pretrained:
    """Return the image tower of a CLIP model; errors as `find_prior` raises them."""
    try:
        import open_clip
    except ImportError:
        raise BadRequest(f"{spec} needs open_clip: pip install 'lotterybench[clip]'") from None
    arch, _, tag = name.rpartition("/")
    if (arch, tag) not in open_clip.list_pretrained():
        raise unknown("open_clip model", name, ["/".join(pair) for pair in _pairs(open_clip)])
    model = _fetched(
        spec,
        lambda: open_clip.create_model_from_pretrained(arch, tag, return_transform=False),
    )
    wants = model.visual.preprocess_cfg
    sides = wants["size"] if isinstance(wants["size"], list | tuple) else [wants["size"]] * 2
    crop = {"shortest": "center", "longest": "border", "squash": "squash"}
    config = {
        "input_size": (3, *sides), "interpolation": wants.get("interpolation", "bicubic"),
        "mean": tuple(wants["mean"]), "std": tuple(wants["std"]), "crop_pct": 1.0,
        "crop_mode": crop[wants.get("resize_mode", "shortest")],
    }  # fmt: skip
    return _prepared(model.visual, config)


def _pairs(open_clip: Any) -> list[tuple[str, str]]:
    return [(str(arch), str(tag)) for arch, tag in open_clip.list_pretrained()]


def _prepared(encoder: nn.Module, config: dict[str, Any]) -> Pretrained:
    """Let timm resize and crop images as it does to evaluate models."""
    from timm.data.transforms_factory import create_transform

    shape = create_transform(**config, is_training=False, normalize=False)  # uint8 stays uint8
    mean, std = (torch.tensor(config[key]).view(-1, 1, 1) for key in ("mean", "std"))

    def prepare(images: Tensor) -> Tensor:
        found: Tensor = shape(images).float().div_(255)
        return found.sub_(mean.to(found.device)).div_(std.to(found.device))

    told = canonical_json({"by": "timm", **config}).decode()
    channels, height, width = config["input_size"]
    return Pretrained(encoder, prepare, told, (channels, height, width))


def from_torchvision(spec: str, name: str) -> Pretrained:
    """Return a torchvision model with its default weights; errors as `find_prior` raises them."""
    from torchvision import models  # type: ignore[import-untyped]

    if name not in models.list_models():
        raise unknown("torchvision model", name, models.list_models())
    default = models.get_model_weights(name).DEFAULT
    encoder = _headless(spec, _fetched(spec, lambda: models.get_model(name, weights=default)))
    prepare = default.transforms()
    told = {"by": "torchvision", "transforms": " ".join(repr(prepare).split())}
    sides = [*getattr(prepare, "crop_size", [224])] * 2
    return Pretrained(encoder, prepare, canonical_json(told).decode(), (3, sides[0], sides[1]))


def _headless(spec: str, model: nn.Module) -> nn.Module:
    """Put the identity in the place of a classifier's last linear layer."""
    last = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    if not last:
        raise BadRequest(f"{spec} has no linear layer to take the features before; take another")
    model.set_submodule(last[-1], nn.Identity())
    return model


def _fetched(spec: str, make: Callable[[], Any]) -> Any:
    """Return a model with its weights; raise `BadRequest` if they cannot be had.

    The hub, torch and timm raise a dozen kinds of errors for that.
    """
    try:
        return make()
    except Exception as error:
        raise BadRequest(
            f"the weights of {spec} cannot be fetched ({one_line(error)}); fetch them once where "
            "there is a network, which keeps them, or give an encoder file as ours:PATH.safetensors"
        ) from None


def one_line(error: Exception) -> str:
    """Return an error as one short line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:160]}" if text else type(error).__name__
