"""Mixup (Zhang et al. 2018): each image is blended with another of its batch."""

import numpy as np
from torch import Tensor

from lotterybench.errors import BadRequest


def mixed(images: Tensor, alpha: float, seed: int, step: int) -> tuple[Tensor, float]:
    """Blend a batch with itself reversed; return it and the share of each image's own label.

    The share is drawn from Beta(alpha, alpha) by `seed` and `step` alone. timm's Mixup, the
    oracle of this in the tests, draws it from numpy's global generator, which every run shares.
    Raises `BadRequest` for an alpha that is not above 0.
    """
    if not alpha > 0:
        raise BadRequest(f"mixup {alpha:g} is not above 0; leave it at 0 for none")
    share = float(np.random.default_rng([seed, step]).beta(alpha, alpha))
    return images * share + images.flip(0) * (1 - share), share
