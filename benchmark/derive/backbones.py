"""The table of docs/backbones.md: what each backbone weighs, how fast it trains, whether it learns.

Trains each backbone once, with supervised labels at the rate of its table entry, on the first
2,000 training images of CIFAR-10 shrunk to 16 × 16, and scores the first 2,000 test images; one
seed and one thread, so that differences of a few percent mean nothing. Prints one line each:

    python benchmark/derive/backbones.py
"""

import argparse
import time

import torch

from lotterybench.kinds.data import reduced
from lotterybench.manifests import find_base
from lotterybench.methods import Task, method
from lotterybench.methods.base import probes
from lotterybench.methods.base.architectures import ARCHITECTURES
from lotterybench.methods.base.backbones import build, dimension, grid
from lotterybench.methods.base.data import Resident
from lotterybench.methods.base.loop import train
from lotterybench.sources import images

COUNT, SIDE, EPOCHS, BATCH = 2000, 16, 5, 64
HEAD = ["name", "group", "optimiser", "rate", "parameters (M)", "features", "grid", "images/s"]


def main() -> None:
    """Parse the command line, measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=sorted(ARCHITECTURES))
    names = parser.parse_args().names
    torch.set_num_threads(1)
    pixels, labels = zip(*(split(part) for part in ("train", "test")), strict=True)
    row([*HEAD, "accuracy (%)"])
    row(["---"] * (len(HEAD) + 1))
    for name in names:
        facts = ARCHITECTURES[name]
        model = build(name, in_chans=3, size=32, seed=0)
        weights = sum(weight.numel() for weight in model.parameters())
        task = Task(
            Resident(pixels[0], labels[0], torch.arange(COUNT)), 10, True, f"backbones/{name}"
        )
        made = method["supervised"](task, epochs=EPOCHS, lr=facts.rate, backbone=name, batch=BATCH)
        side = grid(model, 3, 32)
        trained = train(task, made)
        accuracy = probes.accuracy(trained, pixels[1], labels[1])
        row(
            [
                name,
                facts.group,
                facts.optimiser,
                f"{facts.rate:g}",
                f"{weights / 1e6:.2f}",
                dimension(model),
                f"{side} × {side}",
                f"{speed(model):.0f}",
                f"{accuracy:.1f}",
            ]
        )


def split(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the first images of a split, uint8 (n, 3, 16, 16), and their labels."""
    found = images(find_base("cifar10")[0].id, name)
    pixels = reduced(found.pixels[:COUNT], SIDE).transpose(0, 3, 1, 2).copy()
    return torch.from_numpy(pixels), torch.from_numpy(found.labels[:COUNT])


def speed(model: torch.nn.Module, times: int = 3) -> float:
    """Return images of 32 × 32 per CPU second, forward and backward, at the fastest of `times`."""
    batch = torch.randn(BATCH, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    model.train()
    seconds = []
    for _ in range(times):
        start = time.process_time()
        model(batch).square().sum().backward()
        seconds.append(time.process_time() - start)
    return BATCH / min(seconds)


def row(cells: list[object]) -> None:
    """Print one line of the table."""
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


if __name__ == "__main__":
    main()
