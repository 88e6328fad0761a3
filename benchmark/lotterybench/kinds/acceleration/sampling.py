"""Which samples each epoch is shown: all, a share drawn anew, or a share drawn once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import Tensor

from lotterybench.kinds.acceleration.setting import Setting
from lotterybench.manifests import load_keyring
from lotterybench.methods.base.data import Data
from lotterybench.methods.base.redrawn import Redrawn
from lotterybench.methods.base.shape import stream
from lotterybench.streams import positions_of_epoch

Draws = Callable[[int], Tensor]


def drawn(setting: Setting, rows: Tensor, ratio: float, *, anew: bool) -> Draws:
    """Return the rows of each epoch, int64 (⌊ratio·n⌋,), of the stream of the stage's replicate.

    `anew` draws for each epoch; without it all epochs are shown what the first is.
    """
    keys = load_keyring(setting.domain.base).keys["train"][rows.cpu().numpy()]
    seed = stream(setting.settings["draws"], "samples")

    @cache
    def of(epoch: int) -> Tensor:
        return rows[torch.from_numpy(positions_of_epoch(keys, seed, ratio, epoch)).to(rows.device)]

    return of if anew else lambda _: of(0)


def shown_to(setting: Setting, data: str, ratio: float) -> Data:
    """Return what an arm trains on: `full`, `redrawn` or `fixed` samples of the domain."""
    if data == "full":
        return setting.data()
    train = setting.train
    return Redrawn(
        train.images, train.labels, drawn(setting, train.rows, ratio, anew=data == "redrawn")
    )


def distinct(data: Data, epochs: int) -> int:
    """Return how many samples are shown at least once."""
    if not isinstance(data, Redrawn):
        return data.count
    return len(np.unique(torch.cat([data.draws(n) for n in range(epochs)]).cpu().numpy()))
