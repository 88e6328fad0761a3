"""A stream of digits with targets, and the small prior that makes them."""

import json

import torch

from lotterybench.build import build_stream, save_subset
from lotterybench.methods.base.backbones import build
from lotterybench.methods.base.encoders import save_encoder
from lotterybench.methods.base.priors import find_prior
from lotterybench.methods.base.targets import targets_of
from lotterybench.sources import images
from lotterybench.stream_targets import targets_by

DIMENSION = 6


def write_prior(file, seed=0, size=8, in_chans=1):
    """Write a small untrained encoder; return its name as a prior."""
    encoder = build("resnet", in_chans=in_chans, size=size, seed=seed, width=0.125)
    about = {"backbone": "resnet", "in_chans": in_chans, "size": size, "width": 0.125}
    save_encoder(encoder, file, {"encoder": json.dumps(about)})
    return f"ours:{file}"


def write_taught(root, prior, name="taught"):
    """Publish a stream of half of digits with targets below a folder; return its manifest."""
    told, _ = targets_by("digits", prior, DIMENSION)
    stream = build_stream("digits", 0.5, name=name, targets=told)
    save_subset(stream, None, root)
    return stream


def targets_again(prior):
    """Return the targets by the training code's own way, with no cache."""
    pixels = torch.from_numpy(images("digits", "train").pixels.transpose(0, 3, 1, 2).copy())
    found = find_prior(prior, (1, 8, 8))
    return targets_of(found, pixels, torch.arange(len(pixels)), DIMENSION, "0" * 64)
