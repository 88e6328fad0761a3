"""Does nothing wrong: trains with torch and two loader processes."""

import os
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

EXPECTED = "right"
BUDGET = {"wall_seconds": 120.0, "memory_bytes": 2147483648, "pids": 64}


def main():
    """Fit a line, and leave the positions of the least inputs."""
    torch.manual_seed(0)
    x = torch.from_numpy(np.load(Path(os.environ["INPUTS"], "data", "x.npy")))
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    loader = DataLoader(TensorDataset(x.float()[:, None] / len(x)), 4, num_workers=2)
    losses = []
    for _ in range(3):
        for (batch,) in loader:
            optimizer.zero_grad()
            loss = (model(batch) - 2 * batch).square().mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert losses[-1] < losses[0]
    np.save(Path(os.environ["OUTPUTS"], "positions.npy"), x.argsort()[:4].numpy())


if __name__ == "__main__":
    main()
