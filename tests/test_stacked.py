"""Stacked training equals training each model alone with plain torch modules."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from single_models import module
from single_models import train as train_alone

from lotterybench.errors import UnknownName
from lotterybench.kinds.exact.noise import order
from lotterybench.kinds.exact.plan import chunks_of, classes_in
from lotterybench.kinds.exact.training import load_pool, models_of, prepare, recipe_of
from lotterybench.methods.base import stacked
from lotterybench.tracks import find_track

TRACK = find_track("digits-exact")
ENTRIES = {(e.config["backbone"], e.config["objective"]): e for e in TRACK.configurations}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def pool():
    return load_pool(TRACK)


@pytest.mark.parametrize("steps", [3, None], ids=["float32", "float64"])
@pytest.mark.parametrize("entry", ENTRIES.values(), ids=lambda e: e.family)
def test_a_stack_is_its_models_alone(entry, steps, pool):
    """Same weights and batches: the same logits on every image, and so the same ones right.

    After the whole training that is seen in float64: where a gradient is 0 but for rounding, Adam
    makes steps of the size of the rate of it.
    """
    recipe = recipe_of(entry)
    network = stacked.backbone(recipe.backbone)
    chunk = chunks_of(TRACK, pool.base, 2, [0])[TRACK.configurations.index(entry)]
    models = tuple(models_of(chunk, pool.base))[7:9]
    given = prepare(chunk, models, pool)
    kind = torch.float32 if steps else torch.float64
    images = stacked.normalised(torch.from_numpy(pool.pixels)).to(kind)
    starts = [
        {name: weight.to(kind) for name, weight in stacked.initial(network, 2, seed).items()}
        for seed in given.seeds
    ]
    together = stacked.stack(starts)
    labels, shown = torch.from_numpy(given.labels), torch.from_numpy(given.shown)[:steps]
    stacked.train(recipe, together, images, labels, shown)
    found = network.logits(together, images.expand(len(models), -1, -1))
    right = stacked.correct(recipe, together, images, labels, torch.from_numpy(given.tested))
    for number, start in enumerate(starts):
        alone = module(recipe.backbone, 2, network.width, start)
        train_alone(
            alone, network.optimiser, recipe.objective, recipe.lr, images, labels[number],
            shown[:, number],
        )  # fmt: skip
        with torch.no_grad():
            expected = alone(images)
        assert (found[number] - expected).abs().max() < (1e-4 if steps else 1e-8)
        rows = given.tested[number][given.tested[number] >= 0]
        assert right[number] == (expected.argmax(1) == labels[number])[rows].sum()


def test_a_model_does_not_depend_on_its_neighbours(pool):
    """The first two of a stack of five end as in a stack of two."""
    images = stacked.normalised(torch.from_numpy(pool.pixels))
    for name, network in stacked.BACKBONES.items():
        recipe = stacked.Recipe(name, "cross-entropy", 0.01)
        ends = []
        for size in (5, 2):
            weights = stacked.stack([stacked.initial(network, 10, seed) for seed in range(size)])
            rows = np.stack([order(np.arange(1000), 4, 16, seed) for seed in range(size)], 1)
            labels = torch.from_numpy(pool.labels).expand(size, -1)
            stacked.train(recipe, weights, images, labels, torch.from_numpy(rows))
            ends.append(network.logits(weights, images[:50].expand(size, -1, -1))[:2])
        torch.testing.assert_close(*ends, rtol=1e-4, atol=1e-5)


def test_weights_start_with_the_declared_variance():
    for name, network in stacked.BACKBONES.items():
        start = stacked.initial(network, 10, 7)
        again = stacked.initial(network, 10, 7)
        other = stacked.initial(network, 10, 8)
        for key, declared in network.weights(10, network.width, 8).items():
            assert start[key].shape == declared.shape
            assert torch.equal(start[key], again[key])
            if declared.inputs:
                assert not torch.equal(start[key], other[key])
                assert start[key].var().item() * declared.inputs == pytest.approx(1, rel=0.5), name
            else:
                assert not start[key].any()


def test_nothing_is_right_of_a_model_that_is_not_finite():
    network = stacked.backbone("linear")
    weights = stacked.stack([stacked.initial(network, 2, seed) for seed in range(2)])
    weights["out.bias"][1, 0] = float("nan")
    images, labels = torch.randn(9, 64), torch.zeros(2, 9, dtype=torch.int64)
    rows = torch.tensor([[0, 1, 2, 3, -1], [0, 1, 2, 3, 4]])
    recipe = stacked.Recipe("linear", "squared", 0.1)
    right = stacked.correct(recipe, weights, images, labels, rows)
    logits = images @ weights["out.weight"][0]
    assert right.tolist() == [int((logits[:4].argmax(1) == 0).sum()), 0]


def test_unknown_names_are_hinted():
    with pytest.raises(UnknownName, match="no stacked backbone is named 'mpl'; did you mean 'mlp'"):
        stacked.backbone("mpl")
    with pytest.raises(UnknownName, match="no stacked objective is named 'hinge'"):
        stacked.objective("hinge")


def test_the_pool_is_what_the_protocol_wants():
    assert len(TRACK.scored()) >= 36
    assert len({entry.family for entry in TRACK.scored()}) >= 12
    assert classes_in(0b1000000101) == [0, 2, 9]


@pytest.mark.slow
def test_the_benchmark_of_speed_runs():
    """Both arms end alike, or it would say so; how fast they are is the machine's business."""
    script = Path(__file__).parents[1] / "benchmark" / "speed" / "stacked.py"
    command = [sys.executable, "-W", "error", str(script), "--quick"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    report = json.loads(done.stdout)
    for width in ("width 32", "width 128"):
        assert all(rate > 0 for rate in report[width]["models/s"].values())
        assert report[width]["logits apart"] < 1e-4
