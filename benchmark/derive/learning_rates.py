"""The learning-rate sweep behind the tracks' configurations: {1/4, 1, 4} around a centre.

Trains on four fifths of some training rows of a base and scores on the last fifth, by the
classifier or by the k-NN of frozen features; the test split is never read. Prints one JSON object
per method, backbone and rate. The tracks' rates were chosen from

    OMP_NUM_THREADS=1 python benchmark/derive/learning_rates.py digits supervised
    OMP_NUM_THREADS=1 python benchmark/derive/learning_rates.py digits simclr
    OMP_NUM_THREADS=1 python benchmark/derive/learning_rates.py cifar100 supervised --seeds 1

and the defaults of `lotterybench list methods` from

    OMP_NUM_THREADS=1 python benchmark/derive/learning_rates.py cifar10 METHOD… --seeds 1

and the rates of `digits-rela-methods`, beside SimCLR's, from

    OMP_NUM_THREADS=1 python benchmark/derive/learning_rates.py digits METHOD… --seeds 2

and the rates of self-supervised transformers (docs/tracks.md) from

    OMP_NUM_THREADS=1 python benchmark/derive/learning_rates.py cifar10-5k METHOD… --seeds 1

whose output lies in benchmark/derive/learning_rates/.
"""

import argparse
import json
import statistics
import time
from typing import NamedTuple

import numpy as np
import torch

from lotterybench.kinds.data import reduced
from lotterybench.manifests import find_base
from lotterybench.methods import Task, method
from lotterybench.methods.base import probes
from lotterybench.methods.base.backbones import BACKBONES
from lotterybench.methods.base.data import Resident
from lotterybench.methods.base.loop import Diverged, train
from lotterybench.sources import images

FACTORS = (1 / 4, 1, 4)
SMALL = ["convmixer", "convnext", "mixer", "mobilenet", "repvgg", "resnet", "resnext", "vit"]


class Sweep(NamedTuple):
    """Side in pixels, rows (None: all), settings, backbones, and a centre for each optimiser."""

    side: int
    rows: int | None
    settings: dict[str, float]
    backbones: list[str]
    centres: dict[str, float]


SWEEPS = {
    ("digits", "supervised"): Sweep(
        8, None, {"epochs": 6, "batch": 32}, SMALL, {"sgd": 0.2, "adamw": 0.005}
    ),
    ("digits", "simclr"): Sweep(
        8, None, {"epochs": 6, "batch": 64}, SMALL, {"sgd": 0.1, "adamw": 0.004}
    ),
    ("cifar100", "supervised"): Sweep(
        16, 12_500, {"epochs": 8, "batch": 128}, SMALL, {"sgd": 0.2, "adamw": 0.004}
    ),
}
# Every other method: 4,000 images to train on, a convolutional net and a transformer.
DEFAULT = Sweep(
    32, 5_000, {"epochs": 10, "batch": 128}, ["resnet8", "vit"], {"sgd": 0.12, "adamw": 0.002}
)
# What a machine without a GPU affords: the same images at half the side, fewer epochs.
SHORT = Sweep(16, None, {"epochs": 6, "batch": 128}, ["vit"], {"sgd": 0.12, "adamw": 0.002})
# As many images and epochs as the study of methods on digits trains on.
FEW = Sweep(8, 600, {"epochs": 16, "batch": 64}, ["resnet"], {"sgd": 0.12, "adamw": 0.004})
OTHERS = {"cifar10-5k": SHORT, "digits": FEW}


def main() -> None:
    """Parse the command line, train, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base")
    parser.add_argument("methods", nargs="+", choices=list(method))
    parser.add_argument("--backbones", nargs="+", choices=sorted(BACKBONES))
    parser.add_argument("--factors", nargs="+", type=float, default=FACTORS)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    base = find_base(args.base)[0]
    found = images(base.id, "train")
    labels = torch.from_numpy(found.labels.copy())
    for name in args.methods:
        sweep = SWEEPS.get((args.base, name), OTHERS.get(args.base, DEFAULT))
        pixels = torch.from_numpy(reduced(found.pixels, sweep.side).transpose(0, 3, 1, 2).copy())
        rows = torch.from_numpy(np.random.default_rng(0).permutation(len(labels))[: sweep.rows])
        held, kept = rows.tensor_split([len(rows) // 5])
        for backbone in args.backbones or sweep.backbones:
            for factor in args.factors:
                lr = sweep.centres[BACKBONES[backbone].optimiser] * factor
                scores, ranks, seconds = [], [], []
                for seed in range(args.seeds):
                    run = f"sweep/{args.base}/{name}/{backbone}/{lr}/{seed}"
                    data = Resident(pixels, labels, kept)
                    task = Task(data, len(base.class_names), base.mirror, run)
                    start = time.perf_counter()
                    settings = {**sweep.settings, "backbone": backbone, "lr": lr}
                    score, rank = judge(task, held, name, settings)
                    scores.append(score)
                    ranks.append(rank)
                    seconds.append(time.perf_counter() - start)
                line = {"method": name, "backbone": backbone, "lr": lr, "scores": scores,
                        "mean": round(statistics.mean(scores), 2), "ranks": ranks,
                        "seconds": round(min(seconds), 1)}  # fmt: skip
                print(json.dumps(line), flush=True)


def judge(
    task: Task, held: torch.Tensor, name: str, settings: dict[str, object]
) -> tuple[float, float]:
    """Train once; return the percentage right on the held-out rows and the effective rank.

    A run that diverged scores 0.
    """
    try:
        trained = train(task, method[name](task, **settings))
    except Diverged:
        return 0.0, 0.0
    data = task.data
    assert isinstance(data, Resident)
    queries, labels = data.images[held], data.labels[held]
    found = probes.features(trained.encoder, queries)
    rank = round(probes.effective_rank(found), 1)
    if trained.classifier is not None:
        return round(probes.accuracy(trained, queries, labels), 2), rank
    bank = probes.features(trained.encoder, data.images[data.rows])
    knn = probes.knn(bank, data.labels[data.rows], found, labels, classes=task.classes)
    return round(knn, 2), rank


if __name__ == "__main__":
    main()
