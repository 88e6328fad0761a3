"""InfoNCE (van den Oord et al. 2018): find the one key that belongs to a query.

lightly's NT-Xent and DCL, the oracles of these in the tests, pick similarities by boolean masks,
for which an accelerator has to count before the host may go on, at every step.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from lightly.utils import dist
from torch import Tensor


def among_batch(queries: Tensor, keys: Tensor, temperature: float) -> Tensor:
    """Return the mean cross-entropy of finding each query's key among all keys of the batch.

    Both are float (n, d) of any length; row i of `keys` belongs to row i of `queries`. Processes
    that share a batch compare with the keys of all of them.
    """
    queries, keys = F.normalize(queries, dim=1), F.normalize(keys, dim=1)
    if dist.world_size() > 1:
        keys = torch.cat(dist.gather(keys))
    own = torch.arange(len(queries), device=queries.device) + dist.rank() * len(queries)
    return F.cross_entropy(queries @ keys.T / temperature, own)


def among_negatives(queries: Tensor, keys: Tensor, negatives: Tensor, temperature: float) -> Tensor:
    """Return the mean cross-entropy of telling each query's key from the negatives (m, d).

    `queries` and `keys` are float (n, d); all are normalised.
    """
    positive = (queries * keys).sum(1, keepdim=True)
    logits = torch.cat((positive, queries @ negatives.T), dim=1) / temperature
    return F.cross_entropy(logits, torch.zeros_like(logits[:, 0], dtype=torch.int64))


def among_views(first: Tensor, second: Tensor, temperature: float, decoupled: bool) -> Tensor:
    """Return the mean loss of finding each view's other view among all views of the batch.

    `first` and `second` are float (n, d) of any length. It is SimCLR's NT-Xent; `decoupled`
    leaves the positive out of the denominator (Yeh et al. 2022, equation 6). Processes that share
    a batch compare with the views of all of them.
    """
    count = len(first)
    first, second = F.normalize(first, dim=1), F.normalize(second, dim=1)
    keys = torch.cat((first, second))
    if dist.world_size() > 1:
        keys = torch.cat((*dist.gather(first), *dist.gather(second)))
    own = torch.arange(count, device=first.device) + dist.rank() * count
    itself = torch.cat((own, own + len(keys) // 2))
    other = itself.roll(count)
    logits = torch.cat((first, second)) @ keys.T / temperature
    others = logits.scatter(1, itself[:, None], -torch.inf)
    if not decoupled:
        return F.cross_entropy(others, other)
    positive = logits.gather(1, other[:, None]).squeeze(1)
    return (others.scatter(1, other[:, None], -torch.inf).logsumexp(1) - positive).mean()
