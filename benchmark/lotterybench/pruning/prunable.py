"""The declared set: which weights of a network may be pruned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from torch import nn
from torch.nn.modules.conv import _ConvNd

from lotterybench.errors import BadRequest

Weights = dict[str, nn.Parameter]


@dataclass(frozen=True)
class Rules:
    """What of a network may be pruned.

    `stem` takes in the layers that read the image, `shortcuts` the convolutions beside a residual
    branch. `classifier` names the module that is left out; encoders have none.
    """

    stem: bool = True
    shortcuts: bool = True
    classifier: str = ""


def prunable(network: nn.Module, rules: Rules | None = None) -> Weights:
    """Return the weights of convolutions and linear layers by name, in the module's order.

    Biases, norms, scales, embeddings and bias tables are never among them. Raises `BadRequest` if
    nothing is left or the classifier is no module of the network.
    """
    rules = rules or Rules()
    layers = dict(_layers(network))
    out = _classifier(network, layers, rules.classifier)
    if not rules.stem:
        out |= _stem(layers)
    if not rules.shortcuts:
        out |= {name for name in layers if _in_shortcut(network, name)}
    left = [name for name in layers if name not in out]
    if not left:
        raise BadRequest(f"{type(network).__name__} has no weight to prune under {rules}")
    return {f"{name}.weight": cast(nn.Parameter, layers[name].weight) for name in left}


Layer = _ConvNd | nn.Linear


def _layers(network: nn.Module) -> Iterator[tuple[str, Layer]]:
    for name, module in network.named_modules():
        if isinstance(module, Layer):
            yield name, module


def _classifier(network: nn.Module, layers: dict[str, Layer], name: str) -> set[str]:
    if not name:
        return set()
    if name not in dict(network.named_modules()):
        raise BadRequest(f"{type(network).__name__} has no module {name} to leave out")
    return {layer for layer in layers if f"{layer}.".startswith(f"{name}.")}


def _inputs(layer: Layer) -> int:
    return layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels


def _stem(layers: dict[str, Layer]) -> set[str]:
    """The first layer, and those of its part of the network that read as many channels.

    Stems with branches (RepVGG's, FastViT's) read the image twice.
    """
    first = next(iter(layers))
    part = first.split(".")[0]
    return {
        name
        for name, layer in layers.items()
        if name.split(".")[0] == part and _inputs(layer) == _inputs(layers[first])
    }


def _in_shortcut(network: nn.Module, name: str) -> bool:
    """Say whether a layer lies in `shortcut`, or in the `downsample` of a block.

    A stage has a `downsample` too (ConvNeXt, Swin), beside its `blocks`: the only way there is.
    """
    pieces = name.split(".")
    if "shortcut" in pieces:
        return True
    if "downsample" not in pieces:
        return False
    owner = network.get_submodule(".".join(pieces[: pieces.index("downsample")]))
    return not hasattr(owner, "blocks")
