"""How long a sandbox takes to start, and what a training in it costs against one outside.

Both arms of a round run the same program under the same budget, in turn, so that a busy machine
slows both; the training's own seconds are what it tells itself, the whole's what the referee
measures. Needs bwrap and no data but scikit-learn's digits:

    python benchmark/speed/sandbox.py [--rounds 7] [--quick]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from lotterybench.paths import PACKAGE
from lotterybench.provenance import processor, versions
from lotterybench.submissions.sandbox import Budget, bubblewrap, run
from lotterybench.submissions.sandbox.outcome import Isolation

TRAINING = """
import json, os, sys, time
sys.path.insert(0, os.environ["INPUTS"])
import torch
from pathlib import Path
from sklearn.datasets import load_digits
from lotterybench.methods.base.data import Resident
from lotterybench.methods.base.loop import train
from lotterybench.methods.base.shape import Task
from lotterybench.methods.supervised import train as supervised

torch.set_num_threads(1)
pixels, labels = load_digits(return_X_y=True)
images = torch.from_numpy((pixels * (255 / 16)).round().astype("uint8")).view(-1, 1, 8, 8)
data = Resident(images, torch.from_numpy(labels).long(), torch.arange(len(images)))
began = time.perf_counter()
task = Task(data, 10, mirror=False, run="speed")
train(task, supervised(task, epochs=int(os.environ["EPOCHS"]), lr=0.1, backbone="resnet"))
seconds = time.perf_counter() - began
Path(os.environ["OUTPUTS"], "seconds.json").write_text(json.dumps(seconds))
"""
BUDGET = Budget(wall_seconds=500, memory_bytes=4 * 2**30)


def started(rounds: int) -> dict[str, Any]:
    """Measure runs of `python -c pass`, in a sandbox and as a bare process, in seconds."""
    command = [sys.executable, "-c", "pass"]
    boxed, bare = [], []
    for _ in range(rounds):
        began = time.perf_counter()
        boxed_run(command, "sandboxed")
        boxed.append(time.perf_counter() - began)
        began = time.perf_counter()
        subprocess.run(command, check=True)
        bare.append(time.perf_counter() - began)
    return {"rounds": rounds, "sandboxed": spread(boxed), "bare": spread(bare)}


def trained(rounds: int, epochs: int) -> dict[str, Any]:
    """Measure a supervised training on digits in a sandbox and without one, in turn."""
    own: dict[Isolation, list[float]] = {"sandboxed": [], "none": []}
    whole: dict[Isolation, list[float]] = {"sandboxed": [], "none": []}
    for turn in range(rounds):
        order: list[Isolation] = ["sandboxed", "none"]
        for isolation in order if turn % 2 else reversed(order):
            inside, outside = boxed_run([sys.executable, "-c", TRAINING], isolation, epochs)
            own[isolation].append(inside)
            whole[isolation].append(outside)
    report: dict[str, Any] = {"rounds": rounds, "epochs": epochs}
    for name, found in (("training alone", own), ("with start and imports", whole)):
        ratios = [a / b for a, b in zip(found["sandboxed"], found["none"], strict=True)]
        report[name] = {
            "seconds": {isolation: spread(taken) for isolation, taken in found.items()},
            "sandboxed / none": {
                "best rounds": round(min(found["sandboxed"]) / min(found["none"]), 3),
                "median": round(statistics.median(ratios), 3),
                "most": round(max(ratios), 3),
            },
        }
    return report


def boxed_run(command: list[str], isolation: Isolation, epochs: int = 0) -> tuple[float, float]:
    """Run a command; return the seconds that it told, 0 if none, and those that were measured."""
    environment = {"EPOCHS": str(epochs), "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        writes = Path(folder) / "out"
        reads = {"lotterybench": PACKAGE} if epochs else {}
        done = run(
            command, reads=reads, writes=writes, budget=BUDGET, environment=environment,
            isolation=isolation,
        )  # fmt: skip
        if done.status != "ok":
            raise SystemExit(f"{done.status}: {done.reason}\n{done.log}")
        told = writes / "seconds.json"
        return json.loads(told.read_text()) if told.is_file() else 0.0, done.wall_seconds


def spread(taken: list[float]) -> dict[str, float]:
    """Return the least, the median and the most of some seconds."""
    found = {"least": min(taken), "median": statistics.median(taken), "most": max(taken)}
    return {name: round(value, 3) for name, value in found.items()}


def main() -> None:
    """Measure everything and print a JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="rounds of the training")
    parser.add_argument("--quick", action="store_true", help="few rounds, to see that it runs")
    asked = parser.parse_args()
    load = os.getloadavg()[0]
    report = {
        "processor": processor(), "cores": os.cpu_count(), "software": versions("torch", "numpy"),
        "bwrap": bubblewrap.find().binary.name, "load before": round(load, 1),
        "start": started(2 if asked.quick else 20),
        "training": trained(1, 1) if asked.quick else trained(asked.rounds, 12),
        "load after": round(os.getloadavg()[0], 1),
    }  # fmt: skip
    print(json.dumps(report, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
