"""One round of finding a ticket: train under masks, prune a share, choose the next samples."""

from __future__ import annotations

import json

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save

from lotterybench.kinds.stages import Here, Made, Stage
from lotterybench.kinds.stages.artefact import DONE
from lotterybench.kinds.stages.training import (
    learner_of,
    pruned,
    put,
    state_of,
    steps_of,
    train_under,
    weights_of,
)
from lotterybench.kinds.stages.watching import (
    Best,
    Capture,
    Memory,
    Settling,
    accuracy,
)
from lotterybench.kinds.tickets.choosing import Trainings, next_set
from lotterybench.kinds.tickets.sets import load_set, save_set
from lotterybench.kinds.tickets.setting import Setting
from lotterybench.methods import Learner
from lotterybench.methods.base.shape import stream
from lotterybench.pruning.functional import State
from lotterybench.pruning.levels import load_level, save_level
from lotterybench.pruning.masks import Masks
from lotterybench.pruning.masks import load as load_masks
from lotterybench.pruning.rounds import Level, masked
from lotterybench.storage import write_whole
from lotterybench.studies import Recipe
from lotterybench.studies.tickets import Arm

EARLY = 10  # EL2N is taken of the first tenth of the epochs


def round_of(stage: Stage, here: Here) -> Made:
    """Train the network of a level, make the masks of the next, and choose its samples."""
    setting, arm = Setting(stage, here), Arm(**stage.settings["arm"])
    number: int = stage.settings["level"]
    positions = samples(setting, arm)
    recipe = recipe_of(setting, arm, len(positions))
    task, pruning = setting.task(positions), setting.pruning
    learner = learner_of(task, recipe)
    masks, begin, point = _start(setting, learner)
    rewind = min(pruning.rewind, recipe.epochs)
    best = Best(*setting.train, setting.rows(setting.split.validation))
    memory = Memory(setting.train[1], max(1, recipe.epochs // EARLY))
    settling = Settling(
        masks, pruning, number, arm.settled, stage.settings["patience"], recipe.warm_up
    )
    capture = Capture(rewind)
    observers = [best, memory, capture, *([settling] if arm.stops else [])]
    before = state_of(learner)
    trained = train_under(task, learner, masks, pruning, here, observers=observers, begin=begin)
    if point is None:
        point = capture.kept if rewind else before
    final = state_of(learner)
    following = pruned(learner.encoder, masks, pruning, number + 1)
    save_level(Level(number, masks, point, final), here.folder / "level.safetensors")
    following.save(here.folder / "next.safetensors")
    epochs = len(trained.curve)
    metrics = {
        "samples": len(positions), "epochs": epochs, "planned-epochs": recipe.epochs - begin,
        "settled": float(settling.at >= 0), "kept": masks.remaining, "density": 1 - masks.sparsity,
        "validation": best.accuracy, "best-epoch": best.at + 1,
    }  # fmt: skip
    looked = best.images
    if arm.data == "prac":
        trainings = Trainings(learner, best.kept, final, following)
        found, seen = next_set(setting, arm, trainings, memory, positions)
        save_set(found, here.folder / "set.safetensors")
        metrics |= {
            "set": len(found.positions), "cet": int(found.cet.sum()), "cep": int(found.cep.sum()),
        }  # fmt: skip
        looked += seen
    if arm.data in ("el2n", "forgetting") and number == 0:
        scores = {"el2n": memory.wrong.cpu(), "forgetting": memory.counts().cpu()}
        write_whole(here.folder / "scores.safetensors", save(scores))
    metrics |= tested(setting, learner, best.kept, final)
    digests = {"masks": masks.digest, "next": following.digest}
    steps = steps_of(task, recipe, epochs)
    return Made(metrics, digests, images=trained.images_seen, looked=looked, steps=steps)


def samples(setting: Setting, arm: Arm) -> NDArray[np.int64]:
    """Return the positions that a round trains on, ascending."""
    here, stage, everything = setting.here, setting.stage, setting.split.train
    if arm.data == "final-set" or (arm.data == "set-by-set" and "set" in here.needs):
        return load_set(here.needs["set"] / "set.safetensors").positions
    if stage.settings["level"] == 0 or arm.data == "full":
        return everything
    if arm.data == "prac":
        return load_set(here.needs["before"] / "set.safetensors").positions
    size = int(_found(setting, "follows")["samples"])
    generator = np.random.default_rng(stream(stage.key, "subset"))
    shuffled = generator.permutation(everything)
    if arm.data != "random":
        scores = load_file(here.needs["first"] / "scores.safetensors")[arm.data].numpy()
        shuffled = shuffled[np.argsort(-scores[shuffled].astype(np.float64), kind="stable")]
    return np.sort(shuffled[:size])


def recipe_of(setting: Setting, arm: Arm, count: int) -> Recipe:
    """Return how a round on `count` samples is trained: for how long, and when the rate falls."""
    recipe, share = setting.recipe, count / len(setting.split.train)
    if arm.matched:
        per_epoch = steps_of(setting.task(np.arange(count)), recipe, 1)
        wanted = _found(setting, "follows")["steps"]
        return recipe.lasting(max(1, round(wanted / per_epoch)))
    if arm.data == "full" or arm.scaling == "data-only":
        return recipe
    return recipe.scaled(share)


def _found(setting: Setting, role: str) -> dict[str, float]:
    """Return the metrics of a need, and its steps."""
    done = json.loads((setting.here.needs[role] / DONE).read_bytes())["finding"]
    return {**done["metrics"], "steps": done.get("steps", 0)}


def _start(setting: Setting, learner: Learner) -> tuple[Masks, int, State | None]:
    """Put the learner where its round starts; return its masks, first epoch and rewinding point."""
    pruning = setting.pruning
    if "before" not in setting.here.needs:
        return Masks.dense(weights_of(learner.encoder, pruning)), 0, None
    folder = setting.here.needs["before"]
    level = load_level(folder / "level.safetensors")
    masks = load_masks(folder / "next.safetensors")
    put(learner, masked(level.point, masks))
    return masks, pruning.rewind if pruning.rate_rewinds else 0, level.point


def tested(setting: Setting, learner: Learner, best: State, final: State) -> dict[str, float]:
    """Return test accuracies at the best epoch and the last; the learner is left as at the last."""
    images, labels = setting.test
    rows = torch.arange(len(labels), device=labels.device)
    found = {}
    for name, state in (("test", best), ("test-last", final)):
        put(learner, state)
        learner.net.eval()
        assert learner.classifier is not None
        found[name] = accuracy(learner.encoder, learner.classifier, images, labels, rows)
    return found
