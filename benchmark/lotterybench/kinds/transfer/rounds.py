"""One round on a source: train under masks, rewound, and prune the next share."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file, save

from lotterybench.kinds.stages import Here, Made, Stage
from lotterybench.kinds.stages.training import (
    learner_of,
    pruned,
    put,
    state_of,
    steps_of,
    train_under,
    weights_of,
)
from lotterybench.kinds.stages.watching import Capture
from lotterybench.kinds.transfer.setting import Setting
from lotterybench.methods import Learner
from lotterybench.pruning.functional import State
from lotterybench.pruning.masks import Masks
from lotterybench.pruning.masks import load as load_masks
from lotterybench.pruning.rounds import masked
from lotterybench.storage import write_whole

POINT = "point.safetensors"
MASKS = "next.safetensors"


def round_of(stage: Stage, here: Here) -> Made:
    """Train a source's network of a level, and write the masks of the next.

    Sources of one seed start from the same weights, so that their masks can be compared; all else
    is their own. Round 0 also writes the rewinding point.
    """
    setting = Setting(stage, here)
    recipe, pruning = setting.recipe, setting.pruning
    number: int = stage.settings["level"]
    task = setting.task(stage.key)
    learner = learner_of(task, recipe)
    capture = Capture(pruning.rewind)
    if number:
        masks, begin = _rewound(setting, learner), pruning.rewind if pruning.rate_rewinds else 0
    else:
        put(learner, start_of(setting), head=False)
        masks, begin = Masks.dense(weights_of(learner.encoder, pruning)), 0
    before = state_of(learner)
    trained = train_under(
        task, learner, masks, pruning, here, observers=[] if number else [capture], begin=begin
    )
    if not number:
        write_whole(here.folder / POINT, save(capture.kept if pruning.rewind else before))
    following = pruned(learner.encoder, masks, pruning, number + 1)
    following.save(here.folder / MASKS)
    accuracy, looked = setting.tested(learner)
    epochs = len(trained.curve)
    steps = steps_of(task, recipe, epochs)
    metrics = {
        "test": accuracy, "samples": task.data.count, "classes": task.classes, "epochs": epochs,
        "updates": steps, "kept": masks.remaining, "density": 1 - masks.sparsity,
    }  # fmt: skip
    digests = {"masks": masks.digest, "next": following.digest}
    return Made(metrics, digests, images=trained.images_seen, looked=looked, steps=steps)


def start_of(setting: Setting) -> State:
    """Return the weights that all sources of a seed start from."""
    task = setting.task(setting.stage.settings["start"])
    return state_of(learner_of(task, setting.recipe))


def ticket_in(needs: dict[str, Path]) -> tuple[Masks | None, State]:
    """Return a ticket's masks (None at level 0) and rewinding point from its rounds' folders."""
    masks = load_masks(needs["round"] / MASKS) if "round" in needs else None
    return masks, load_file(needs["first"] / POINT)


def _rewound(setting: Setting, learner: Learner) -> Masks:
    needs = setting.here.needs
    masks = load_masks(needs["before"] / MASKS)
    put(learner, masked(load_file(needs["first"] / POINT), masks))
    return masks
