"""The seconds of each step from CIFAR-100's images to its board, each a command in a fresh process.

Needs the images (`LOTTERYBENCH_DATA` or the Hub). Training is timed by `run` itself, in the
`.timings` files beside the results; everything else is timed here:

    python benchmark/speed/path.py --results reference_results
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lotterybench.provenance import processor

SELECT = {
    "uniform-10-classes": ["uniform-classes", "--classes", "10"],
    "every-10th-class": ["every-kth-class", "--classes", "10"],
    "uniform-20-classes": ["uniform-classes", "--classes", "20"],
    "every-5th-class": ["every-kth-class", "--classes", "20"],
    "uniform-10pct": ["uniform", "--fraction", "0.1"],
    "class-balanced-10pct": ["class-balanced", "--fraction", "0.1"],
}
CODE = "import sys; from lotterybench.cli import main; sys.argv[0] = 'lotterybench'; main()"
LOAD = """
import sys, datasets
datasets.disable_progress_bars()
data = datasets.load_dataset(sys.argv[1], sys.argv[2], split="train", streaming=sys.argv[3] == "s")
print(sum(row["png"].size == (32, 32) for row in data))
"""


def main() -> None:
    """Run every step in a folder of its own and print a JSON object of seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True)
    results = parser.parse_args().results.resolve()
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = os.environ | {
            "LOTTERYBENCH_CACHE": str(folder / "cache"),
            "HF_HOME": str(folder / "hf"),
            "LOTTERYBENCH_SUBSETS": str(folder / "subsets"),
        }

        def step(what: str, code: str, *arguments: str) -> None:
            start = time.perf_counter()
            command = [sys.executable, "-c", code, *arguments]
            subprocess.run(command, check=True, env=environment, capture_output=True)
            seconds[what] = round(time.perf_counter() - start, 1)

        subsets, shards = str(folder / "subsets"), str(folder / "shards")
        step("base: read, hash and pin 60,000 images", CODE, "base", "cifar100", "--out", subsets)
        for subset, how in SELECT.items():
            options = ["--name", subset, "--out", subsets]
            step(f"build {subset}", CODE, "build", "cifar100", *how, *options)
        names = [f"cifar100/{subset}" for subset in SELECT]
        step("shards of all six, decoding the base anew", CODE, "shards", *names, "--out", shards)
        step("check the shards: files, pixels, labels", CODE, "check", shards)
        for subset in SELECT:
            step(f"load_dataset {subset}, every image decoded", LOAD, shards, subset, "m")
        step("the same, streaming: uniform-10pct", LOAD, shards, "uniform-10pct", "s")
        where = ["--results", str(results)]
        step("score", CODE, "score", "cifar100-supervised-16px", *where)
        step("site of all tracks", CODE, "site", "build", *where, "--out", str(folder / "site"))
    print(json.dumps({"processor": processor(), "cores": os.cpu_count(), **seconds}, indent=2))


if __name__ == "__main__":
    main()
