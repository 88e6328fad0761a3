"""InfoNCE (van den Oord et al. 2018): find the one key that belongs to a query.

lightly's NT-Xent also repels the queries from each other, as SimCLR does, or brings a memory bank
of its own.
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
