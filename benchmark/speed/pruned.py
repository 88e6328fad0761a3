"""A masked training step against an unmasked one, and what PrAC does besides training.

`pruned` trains under the package's masks, `plain` the same network without, `torch` under
torch.nn.utils.prune, the named peer, at the same masks. Needs no data:

    python benchmark/speed/pruned.py [--quick] [--threads 1]
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from typing import Any

import torch
from timing import Setting, measure, task_of
from torch.nn.utils import prune

from lotterybench.kinds.stages.training import learner_of, weights_of
from lotterybench.kinds.stages.watching import predictions
from lotterybench.methods import Learner
from lotterybench.methods.base.loop import train
from lotterybench.provenance import processor, versions
from lotterybench.pruning.criteria import magnitude
from lotterybench.pruning.enforcing import enforced
from lotterybench.pruning.keeping import keep
from lotterybench.pruning.masks import Masks
from lotterybench.pruning.overlap import distance
from lotterybench.studies import Pruning, Recipe

RECIPE = Recipe(backbone="cifar-resnet20", epochs=1, lr=0.01)
PRUNING, LEVEL = Pruning(rounds=16), 7  # 79.03 % pruned
# A round of the paper late in the search: 67 epochs of 36.66 % of the samples (16,499 of 45,000).
EPOCHS, SHARE = 67, 0.3666


def learner(setting: Setting) -> Learner:
    """Return the network and its training."""
    return learner_of(task_of(setting)[0], RECIPE)


def masks_of(made: Learner) -> Masks:
    """Return masks of the level by magnitude."""
    return keep(magnitude(weights_of(made.encoder, PRUNING)), PRUNING.density(LEVEL))


def arms_of(setting: Setting) -> dict[str, Callable[[], object]]:
    """Return the trainings, each of its own network."""
    ours, plain, theirs = (learner(setting) for _ in range(3))
    masks = masks_of(ours)
    for name, mask in masks.kept.items():
        module, _, parameter = name.rpartition(".")
        prune.custom_from_mask(theirs.encoder.get_submodule(module), parameter, mask.float())

    def pruned() -> object:
        with enforced(weights_of(ours.encoder, PRUNING), masks):
            return train(task_of(setting)[0], ours)

    return {
        "pruned": pruned,
        "plain": lambda: train(task_of(setting)[0], plain),
        "torch": lambda: train(task_of(setting)[0], theirs),
    }


def besides(setting: Setting) -> dict[str, float]:
    """Return what PrAC adds to a round, as parts of the round's training, each the best of three.

    `cep` is one look at every sample, `masks` the candidate of each epoch and its distance.
    """
    made, task = learner(setting), task_of(setting)[0]
    data = task_of(setting)[1]
    dense = Masks.dense(weights_of(made.encoder, PRUNING))
    classifier = made.classifier
    assert classifier is not None
    made.net.eval()

    def candidate() -> int:
        return distance(masks_of(made), dense)

    epoch = best(setting, lambda: train(task, made))
    made.net.eval()
    look = best(setting, lambda: predictions(made.encoder, classifier, data.images, data.rows))
    masks = best(setting, candidate)
    round_of = EPOCHS * SHARE * epoch
    return {
        "cep": round(look / round_of, 4),
        # an epoch has 45,000 samples in the paper: the masks cost as much whatever it has
        "masks": round(EPOCHS * masks / (round_of * 45_000 / setting.images), 4),
    }


def best(setting: Setting, work: Callable[[], object]) -> float:
    """Return the seconds of a piece of work, the best of three after one more."""
    found = []
    for _ in range(4):
        start = time.perf_counter()
        work()
        setting.wait()
        found.append(time.perf_counter() - start)
    return min(found[1:])


def main() -> None:
    """Print the report as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    images, rounds = (512, 1) if given.quick else (4096, 5)
    setting = Setting(given.device, given.threads, images, RECIPE.batch, rounds)
    report: dict[str, Any] = {
        "network": RECIPE.backbone, "pruned": round(1 - PRUNING.density(LEVEL), 4),
        "threads": given.threads, "processor": processor(), "cores": os.cpu_count(),
        "software": versions("torch", "timm"),
        "step": measure(arms_of(setting), setting),
        "besides training, as parts of a round": besides(setting),
    }  # fmt: skip
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
