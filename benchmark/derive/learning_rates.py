"""The learning-rate sweep behind the tracks' configurations: {1/4, 1, 4} around a centre.

Trains on four fifths of a base's training split and scores on the last fifth; the test split is
never read. Prints one JSON object per backbone and rate. The tracks' rates were chosen from

    OMP_NUM_THREADS=1 python benchmark/derive/learning_rates.py digits supervised
    OMP_NUM_THREADS=1 python benchmark/derive/learning_rates.py digits simclr
    OMP_NUM_THREADS=1 python benchmark/derive/learning_rates.py cifar100 supervised --seeds 1
"""

import argparse
import json
import statistics
import time

import numpy as np
import torch

from lotterybench.kinds.ranking import reduced
from lotterybench.manifests import find_base
from lotterybench.methods import Task, method
from lotterybench.methods.base import probes
from lotterybench.methods.base.backbones import BACKBONES
from lotterybench.methods.base.loop import Diverged
from lotterybench.sources import images

FACTORS = (1 / 4, 1, 4)
# Side, rows to sweep on (None: all), settings, and the centre for each optimiser.
SWEEPS = {
    ("digits", "supervised"): (8, None, {"epochs": 6, "batch": 32}, {"sgd": 0.2, "adamw": 0.005}),
    ("digits", "simclr"): (8, None, {"epochs": 6, "batch": 64}, {"sgd": 0.1, "adamw": 0.004}),
    ("cifar100", "supervised"): (
        16, 12_500, {"epochs": 8, "batch": 128}, {"sgd": 0.2, "adamw": 0.004},
    ),
}  # fmt: skip


def main() -> None:
    """Parse the command line, train, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base")
    parser.add_argument("method", choices=["supervised", "simclr"])
    parser.add_argument("--backbones", nargs="+", default=sorted(BACKBONES))
    parser.add_argument("--factors", nargs="+", type=float, default=FACTORS)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    side, count, settings, centres = SWEEPS[args.base, args.method]
    base = find_base(args.base)[0]
    found = images(base.id, "train")
    pixels = torch.from_numpy(reduced(found.pixels, side).transpose(0, 3, 1, 2).copy())
    labels = torch.from_numpy(found.labels)
    rows = torch.from_numpy(np.random.default_rng(0).permutation(len(labels))[:count])
    held, kept = rows.tensor_split([len(rows) // 5])
    for backbone in args.backbones:
        for factor in args.factors:
            lr = centres[BACKBONES[backbone].optimiser] * factor
            scores, seconds = [], []
            for seed in range(args.seeds):
                run = f"sweep/{args.base}/{args.method}/{backbone}/{lr}/{seed}"
                task = Task(pixels, labels, kept, len(base.class_names), base.mirror, run)
                start = time.perf_counter()
                scores.append(
                    score(task, held, args.method, {**settings, "backbone": backbone, "lr": lr})
                )
                seconds.append(time.perf_counter() - start)
            line = {"backbone": backbone, "lr": lr, "scores": scores, "seconds": min(seconds)}
            line["mean"] = round(statistics.mean(scores), 2)
            print(json.dumps(line), flush=True)


def score(task: Task, held: torch.Tensor, name: str, settings: dict[str, object]) -> float:
    """Train once and return the percentage right on the held-out rows; 0 for a diverged run."""
    try:
        trained = method[name](task, **settings)
    except Diverged:
        return 0.0
    queries, labels = task.images[held], task.labels[held]
    if trained.classifier is not None:
        return round(probes.accuracy(trained, queries, labels), 2)
    bank = probes.features(trained.encoder, task.images[task.rows])
    found = probes.features(trained.encoder, queries)
    return round(probes.knn(bank, task.labels[task.rows], found, labels, classes=task.classes), 2)


if __name__ == "__main__":
    main()
