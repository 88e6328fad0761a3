"""A queue of features of past batches, for negatives (MoCo) or neighbours (NNCLR)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from lightly.models.utils import concat_all_gather
from lightly.utils.dist import world_size
from torch import Tensor, nn

from lotterybench.methods.base.backbones import seeded


class Queue(nn.Module):
    """The newest `size` normalised features (size, dimension); random directions to begin with.

    lightly's memory bank, the oracle of this in the tests, reads its pointer on the host at every
    step, which makes an accelerator wait, and drops what does not fit before its end. Here the
    pointer stays on the device.
    """

    bank: Tensor
    pointer: Tensor

    def __init__(self, size: int, dimension: int, seed: int) -> None:
        super().__init__()
        with seeded(seed):
            directions = F.normalize(torch.randn(size, dimension), dim=1)
        self.register_buffer("bank", directions)
        self.register_buffer("pointer", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def exchange(self, features: Tensor) -> Tensor:
        """Return what the queue held, and put normalised features (n, dimension) in for its oldest.

        Of more features than the queue holds, the last stay. Processes that share a batch all put
        in the features of the whole batch.
        """
        held = self.bank.clone()
        new = concat_all_gather(features) if world_size() > 1 else features
        new = new[-len(self.bank) :].to(self.bank.dtype)
        places = torch.arange(len(new), device=new.device) + self.pointer
        self.bank.index_copy_(0, places % len(self.bank), new)
        self.pointer.add_(len(new)).remainder_(len(self.bank))
        return held


def at_most(wanted: int, count: int, divisor: int) -> int:
    """Return a number that must not outgrow the data: `wanted`, at most `count` / `divisor`, ≥ 1.

    A queue takes half of the images at most, lest an image meet its own features of the epoch
    before; prototypes are a tenth of the images at most.
    """
    return max(1, min(wanted, count // divisor))
