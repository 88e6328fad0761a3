"""How far two PrAC sets agree, beyond what their sizes and classes make of chance."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from lotterybench.kinds.stages import Here, Made, Stage
from lotterybench.kinds.tickets.sets import load_set
from lotterybench.kinds.tickets.setting import Setting
from lotterybench.pruning.masks import Masks
from lotterybench.pruning.overlap import overlap

Rows = NDArray[np.int64]


def set_overlap_of(stage: Stage, here: Here) -> Made:
    """Compare the set of `first` with that of `second`, or with as many most forgotten samples."""
    setting = Setting(stage, here)
    first = load_set(here.needs["first"] / "set.safetensors").positions
    if "scores" in here.needs:
        scores = load_file(here.needs["scores"] / "scores.safetensors")["forgetting"].numpy()
        everything = setting.split.train
        order = np.argsort(-scores[everything].astype(np.int64), kind="stable")
        second = everything[order[: len(first)]]
    else:
        second = load_set(here.needs["second"] / "set.safetensors").positions
    return Made(agreement(first, second, setting.split.train, setting.train[1].numpy()))


def agreement(first: Rows, second: Rows, among: Rows, labels: Rows) -> dict[str, float]:
    """Return the Jaccard index of two sets of positions `among` which they lie, and its chance.

    `chance` is the index of independent sets of these sizes, `chance-within` of sets that are
    independent within each class; `normalised` is (index − chance) / (1 − chance). Figures that
    are not defined are left out.
    """
    whole = overlap(_masks(first, among, None), _masks(second, among, None))
    within = overlap(_masks(first, among, labels), _masks(second, among, labels))
    found = {
        "first": len(first), "second": len(second), "jaccard": whole.jaccard,
        "chance": whole.chance, "normalised": whole.normalised,
        "chance-within": within.chance, "normalised-within": within.normalised, "z": within.z,
    }  # fmt: skip
    return {name: float(value) for name, value in found.items() if value is not None}


def _masks(chosen: Rows, among: Rows, labels: Rows | None) -> Masks:
    """Return which samples are chosen as masks: of all as one tensor, or one for each class."""
    kept = torch.from_numpy(np.isin(among, chosen))
    if labels is None:
        return Masks({"all": kept})
    classes = torch.from_numpy(labels[among])
    return Masks(
        {str(label): kept[classes == label] for label in np.unique(labels[among]).tolist()}
    )
