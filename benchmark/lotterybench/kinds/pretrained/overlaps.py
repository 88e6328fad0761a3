"""How far masks of different sources agree, against chance, and which kernels are gone."""

from __future__ import annotations

from lotterybench.kinds.pretrained.setting import NEXT
from lotterybench.kinds.stages import Here, Made, Stage
from lotterybench.pruning.masks import Masks
from lotterybench.pruning.masks import load as load_masks
from lotterybench.pruning.overlap import overlap


def mask_overlap_of(stage: Stage, here: Here) -> Made:
    """Compare the masks of a level, pair by pair; figures are `first|second|name`.

    What is undefined is left out.
    """
    masks = {role: load_masks(folder / NEXT) for role, folder in here.needs.items()}
    metrics = {f"{role}|zero-kernels": zero_kernels(of) for role, of in masks.items()}
    for first, second in stage.settings["pairs"]:
        found = overlap(masks[first], masks[second])._asdict()
        metrics |= {
            f"{first}|{second}|{name}": value for name, value in found.items() if value is not None
        }
    return Made(metrics, {role: of.digest for role, of in masks.items()})


def zero_kernels(masks: Masks) -> float:
    """Return in per cent how many kernels of more than one weight have none left.

    A kernel is what joins one input channel to one output channel; 1 × 1 ones do not count.
    """
    gone = total = 0
    for mask in masks.kept.values():
        if mask.ndim == 4 and mask.shape[2] * mask.shape[3] > 1:
            kernels = mask.flatten(2).any(2)
            gone += int((~kernels).sum())
            total += kernels.numel()
    return 100 * gone / total if total else 0.0
