"""The benchmark of training's speed: it runs, and its clock and its arms are what they say."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from toys import need

SPEED = Path(__file__).parents[1] / "benchmark" / "speed"


@pytest.fixture
def speed(monkeypatch):
    """Import the scripts, which are no package."""
    monkeypatch.syspath_prepend(str(SPEED))
    import timing
    import training

    yield timing, training
    for name in ("timing", "training"):
        sys.modules.pop(name)


def test_measure_compares_the_first_arm_with_the_others(speed):
    timing, _ = speed
    setting = timing.Setting("cpu", 1, images=30, batch=30, rounds=3)

    def busy(seconds):
        end = time.process_time() + seconds
        while time.process_time() < end:
            pass

    arms = {"quick": lambda: busy(0.01), "slow": lambda: busy(0.03)}
    found = timing.measure(arms, setting)
    assert found["images/s"]["quick"] <= 30 / 0.01
    assert found["quick / slow"]["best by processor time"] == pytest.approx(3, rel=0.2)
    assert found["quick / slow"]["least"] <= found["quick / slow"]["median"]


def test_arms_see_the_same_number_of_views_in_the_same_range(speed):
    timing, training = speed
    setting = timing.Setting("cpu", 1, images=48, batch=24, rounds=1)
    task, data = timing.task_of(setting)
    for batches in (training.our_epoch(task, 24), training.lightlys_epoch(data, 24, workers=0)):
        views = list(batches)
        assert [each.shape for each in views] == [(48, 3, 32, 32)] * 2
        together = torch.cat(views)
        assert together.abs().max() <= 2 + 1e-5
        assert together.std() > 0.5


def test_all_arms_train_the_same_model(speed):
    timing, training = speed
    setting = timing.Setting("cpu", 1, images=32, batch=16, rounds=1)
    task, _ = timing.task_of(setting)
    model = training.SimCLR(task, 16, "resnet", 0.5)
    weights = [each.detach().clone() for each in model.net.parameters()]
    fixed = next(training.our_epoch(task, 16))
    model.steps([fixed])
    assert model.net.training
    assert any((a != b).any() for a, b in zip(weights, model.net.parameters(), strict=True))
    assert 70_000 < sum(map(torch.numel, weights)) < 300_000


@pytest.mark.slow
def test_the_whole_benchmark_runs():
    """Every figure is there and positive; what they are is the machine's business."""
    from importlib.util import find_spec

    need("airbench", find_spec("airbench") is not None, "airbench is not installed")
    command = [sys.executable, "-W", "error", str(SPEED / "training.py"), "--quick"]
    done = subprocess.run([*command, "--threads", "1"], check=True, capture_output=True, text=True)
    report = json.loads(done.stdout)
    for part in ("augmentation alone", "SimCLR, resnet of width 16"):
        assert all(rate > 0 for rate in report[part]["images/s"].values())
        assert report[part]["ours / lightly, 0 workers"]["best rounds"] > 0
    assert report["supervised, airbench's network (heavy)"]["images/s"]["airbench's loader"] > 0


@pytest.mark.slow
def test_processes_train_side_by_side(speed):
    timing, training = speed
    found = training.processes(timing.Setting("cpu", 2, images=8, batch=8, rounds=1))
    assert list(found) == ["processes 1, threads of each 2", "processes 2, threads of each 1"]
    for figures in found.values():
        # to the rounding of both
        assert figures["models/hour"] == pytest.approx(
            3600 * figures["images/s"] / training.MODEL, abs=0.06
        )
