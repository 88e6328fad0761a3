"""Which samples the next round trains on: hard to memorise, or forgotten by pruning."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save
from torch import Tensor

from lotterybench.kinds.stages.training import put
from lotterybench.kinds.stages.watching import Memory, predictions
from lotterybench.kinds.tickets.sets import PracSet, changed, hard, union
from lotterybench.kinds.tickets.setting import Setting
from lotterybench.methods import Learner
from lotterybench.pruning.functional import State
from lotterybench.pruning.masks import Masks
from lotterybench.pruning.rounds import masked
from lotterybench.storage import write_whole
from lotterybench.studies.tickets import Arm

DENSE = "dense.safetensors"  # what the first round's best network says of every sample


class Trainings(NamedTuple):
    """What a round leaves: its best and its last network, and the masks of the next level."""

    learner: Learner
    best: State
    final: State
    following: Masks


def next_set(
    setting: Setting, arm: Arm, left: Trainings, memory: Memory, positions: NDArray[np.int64]
) -> tuple[PracSet, int]:
    """Return CET ∪ CEP of a round, and how many images went through a network for it.

    A set of fewer than two samples could not be trained on: the round's own goes on in its place.
    """
    everything, counts = setting.rows(setting.split.train), memory.counts()
    none = everything[:0]
    cet = hard(counts, setting.rows(positions), arm.threshold) if arm.parts != "cep" else none
    cep, looked = (none, 0) if arm.parts == "cet" else _forgotten(setting, arm, left, everything)
    found = union(cet, cep, counts)
    if len(found.positions) >= 2:
        return found, looked
    return union(setting.rows(positions), none, counts), looked


def _forgotten(
    setting: Setting, arm: Arm, left: Trainings, everything: Tensor
) -> tuple[Tensor, int]:
    """Return CEP of a round, and how many images went through a network for it.

    By the paper's code the first round's best network is compared with this round's; what it says
    is kept, so that later rounds look at each sample once.
    """
    if arm.pair == "just-pruned":
        pair = (left.final, masked(left.final, left.following))
        dense, sparse = (_says(setting, left.learner, state, everything) for state in pair)
        return changed(dense, sparse, everything), 2 * len(everything)
    now = _says(setting, left.learner, left.best, everything)
    if "first" not in setting.here.needs:
        write_whole(setting.here.folder / DENSE, save({"says": now.to(torch.int32).cpu()}))
        return everything[:0], len(everything)
    dense = load_file(setting.here.needs["first"] / DENSE)["says"].to(now)
    return changed(dense, now, everything), len(everything)


def _says(setting: Setting, learner: Learner, state: State, rows: Tensor) -> Tensor:
    put(learner, state)
    learner.net.eval()
    assert learner.classifier is not None
    return predictions(learner.encoder, learner.classifier, setting.train[0], rows)
