"""Priors: frozen networks, free to have, whose features become targets (ReLA, protocol §10).

A prior keeps its *own* preprocessing; the authors' code gives all of them ImageNet's. It is named
by one of

* `timm:NAME`: the pretrained weights of a timm model,
* `torchvision:NAME`: the default weights of a torchvision model, without its last linear layer,
* `open_clip:ARCH/TAG`: the image tower of a model of the package open_clip,
* `ours:PATH.safetensors`: an encoder that `--save-encoder` wrote,
* `random:BACKBONE@SEED`: one of our backbones, not trained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from lotterybench.errors import BadRequest
from lotterybench.methods.base.augment import normalise
from lotterybench.methods.base.backbones import build
from lotterybench.methods.base.encoders import digest_of_state, header, load_encoder
from lotterybench.methods.base.probes import shown_at_once
from lotterybench.methods.base.zoos import (
    Pretrained,
    from_open_clip,
    from_timm,
    from_torchvision,
    one_line,
)
from lotterybench.records import canonical_json

Prepare = Callable[[Tensor], Tensor]
Shape = tuple[int, int, int]  # channels, height and width of images
FORMS = (
    "timm:NAME", "torchvision:NAME", "open_clip:ARCH/TAG", "ours:PATH.safetensors",
    "random:BACKBONE@SEED",
)  # fmt: skip


@dataclass(frozen=True)
class Prior:
    """A frozen encoder in evaluation mode, and what images must look like to it.

    `encoder` maps what `prepare` makes of uint8 images (n, C, H, W) to features (n, `width`).
    `preprocessing` tells all that `prepare` does, `weights` is the sha256 of the encoder's weights
    (`digest_of_weights`). `takes` is the shape of images that it is shown: of the channels that it
    takes and, where `resizes` is false, of the only size.
    """

    name: str
    encoder: nn.Module
    prepare: Prepare
    preprocessing: str
    weights: str
    width: int
    takes: Shape
    resizes: bool

    def to(self, device: torch.device | str) -> Prior:
        """Return the prior with its encoder on a device."""
        return replace(self, encoder=self.encoder.to(device))

    def check(self, shape: Shape) -> None:
        """Raise `BadRequest` for images (channels, height, width) that it cannot be shown."""
        if shape[0] != self.takes[0]:
            raise BadRequest(
                f"{self.name} takes images of {self.takes[0]} channels; these have {shape[0]}"
            )
        if not self.resizes and shape != self.takes:
            raise BadRequest(
                f"{self.name} takes images of {self.takes[1]} × {self.takes[2]} pixels; these have "
                f"{shape[1]} × {shape[2]}"
            )

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Return the features, float32 (n, `width`), of uint8 images (n, C, H, W).

        They are on the encoder's device. Raises `BadRequest` for images that the prior cannot be
        shown, and for NaN or infinite features.
        """
        if images.dtype != torch.uint8 or images.ndim != 4:
            what = f"{images.dtype} {tuple(images.shape)}"
            raise BadRequest(f"a prior is shown uint8 images (n, C, H, W), not {what}")
        self.check((images.shape[1], images.shape[2], images.shape[3]))
        state = next(self.encoder.parameters(), None)
        shown = images if state is None else images.to(state.device)
        found: Tensor = self.encoder(self.prepare(shown)).float()
        if not bool(torch.isfinite(found).all()):
            raise BadRequest(f"{self.name} gives NaN or infinite features; it cannot be a prior")
        return found


def features(prior: Prior, images: Tensor, batch: int | None = None) -> Iterator[Tensor]:
    """Yield the features of uint8 images (N, C, H, W) in blocks: float32 (n, `prior.width`).

    A block has `batch` images, by default as many as suit the size that the prior sees.
    """
    for part in torch.split(images, batch or at_once(prior)):
        yield prior(part)


def at_once(prior: Prior) -> int:
    """Return how many images suit one pass through a prior."""
    return shown_at_once(prior.takes[1] * prior.takes[2])


def find_prior(
    spec: str,
    shape: Shape | None = None,
    *,
    width: float = 1.0,
    device: torch.device | str = "cpu",
) -> Prior:
    """Return a prior by its name (see the module), on a device.

    `shape` is that of the images to come, channels, height and width: `random:` needs it, and the
    others are checked against it. `width` multiplies the channels of a `random:` backbone. Raises
    `BadRequest` for a name of no known form, images that the prior cannot be shown, an optional
    package that is missing and weights that cannot be had; `UnknownName` for an unknown model.
    """
    kind, _, name = spec.partition(":")
    if not name or kind not in {"random", "ours", *_ZOOS}:
        raise BadRequest(f"{spec!r} is no prior; the forms are {', '.join(FORMS)}")
    if width != 1 and kind != "random":
        raise BadRequest(f"{spec} has a width of its own; leave width out")
    if kind == "random":
        found = _random(spec, name, shape, width)
    elif kind == "ours":
        found = _ours(Path(name))
    else:
        found = _prior(spec, *_ZOOS[kind](spec, name), resizes=True)
    if shape is not None:
        found.check(shape)
    return found.to(device)


def digest_of_weights(encoder: nn.Module) -> str:
    """Return the digest of all that an encoder's state holds."""
    return digest_of_state(encoder.state_dict())


def _prior(
    spec: str, encoder: nn.Module, prepare: Prepare, preprocessing: str, takes: Shape,
    resizes: bool,
) -> Prior:  # fmt: skip
    """Freeze an encoder; raise `BadRequest` if it gives no features (n, width)."""
    encoder = encoder.eval().requires_grad_(False)
    with torch.no_grad():
        try:
            found = encoder(prepare(torch.zeros(1, *takes, dtype=torch.uint8)))
        except (RuntimeError, TypeError, ValueError) as error:
            raise BadRequest(f"{spec} is no encoder of images: {one_line(error)}") from None
    if not isinstance(found, Tensor) or found.ndim != 2:
        raise BadRequest(f"{spec} gives no features (n, width); take a model of whole images")
    weights = digest_of_weights(encoder)
    return Prior(spec, encoder, prepare, preprocessing, weights, found.shape[1], takes, resizes)


def _random(spec: str, name: str, shape: Shape | None, width: float) -> Prior:
    backbone, _, seed = name.partition("@")
    if not seed.isdecimal():
        raise BadRequest(f"{spec!r} names no seed; the form is random:BACKBONE@SEED")
    if shape is None or shape[1] != shape[2]:
        raise BadRequest(f"{spec} needs the shape of the images, which are square")
    encoder = build(backbone, in_chans=shape[0], size=shape[1], seed=int(seed), width=width)
    return _own(spec, encoder, shape)


def _ours(path: Path) -> Prior:
    """Return the prior of a file, named by the file alone: manifests tell no folders."""
    encoder, about = load_encoder(path), header(path)
    return _own(f"ours:{path.name}", encoder, (about["in_chans"], about["size"], about["size"]))


def _own(spec: str, encoder: nn.Module, shape: Shape) -> Prior:
    channels, height, width = shape
    told = {"by": "lotterybench", "shape": [channels, height, width], "mean": 0.5, "std": 0.25}
    return _prior(spec, encoder, normalise, canonical_json(told).decode(), shape, resizes=False)


_ZOOS: dict[str, Callable[[str, str], Pretrained]] = {
    "timm": from_timm,
    "torchvision": from_torchvision,
    "open_clip": from_open_clip,
}
