"""Back to the pre-trained weights: the backbone, its norms and its copies."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import nn

from lotterybench.kinds.stages.training import on_cpu, put
from lotterybench.methods import Learner
from lotterybench.pruning.functional import State, held
from lotterybench.pruning.masks import Masks
from lotterybench.pruning.rounds import masked
from lotterybench.storage import write_whole

FILE = "weights.safetensors"


def digest_of(state: State) -> str:
    """Return the sha256 of a state's bytes, names and shapes."""
    return hashlib.sha256(save(state)).hexdigest()


def save_state(state: State, folder: Path) -> None:
    """Write a state into a stage's folder, whole."""
    write_whole(folder / FILE, save(state))


def load_state(folder: Path) -> State:
    """Return the state that a pre-training left in its folder."""
    return load_file(folder / FILE)


@torch.no_grad()
def rewind(learner: Learner, point: State, masks: Masks) -> str:
    """Put an encoder back to a point, pruned weights 0; return the digest of where it starts.

    A copy of the encoder, as a momentum teacher is, starts there too. Heads stay as they were
    made.
    """
    start = masked(point, masks)
    put(learner, start, head=False)
    for copy in copies_of(learner):
        for name, value in held(copy).items():
            value.copy_(start[name])
    return digest_of(on_cpu(held(learner.encoder)))


def copies_of(learner: Learner) -> list[nn.Module]:
    """Return the modules of a learner that are built as its encoder is."""
    shapes = {name: value.shape for name, value in held(learner.encoder).items()}
    return [
        module
        for module in learner.net.modules()
        if type(module) is type(learner.encoder)
        and module is not learner.encoder
        and {name: value.shape for name, value in held(module).items()} == shapes
    ]
