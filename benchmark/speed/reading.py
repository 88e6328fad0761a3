"""Reading a release with `load_subset` against webdataset, and its first batch against Parquet.

Every image of CIFAR-100 (`LOTTERYBENCH_DATA` or the Hub) and of a tenth is read and decoded, by one
process, from a release in the client's cache: `table` and `stream` are our two datasets, with the
hashing of all files, `webdataset` a bare loop over the same tars. First samples are timed in fresh
processes, against `datasets` reading a Parquet file of the same images. No network is used:

    python benchmark/speed/reading.py [--quick] [--rounds 5] [--shards DIR]
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

REPO, COMMIT = "bench/lotterybench-cifar100", "0" * 40
SUBSETS = {"class-balanced-10pct": 5_000, "all": 50_000}
FIRST = 256
OURS = """
from lotterybench import load_subset
mark()
data = load_subset(f"cifar100/{name}", revision=COMMIT, repo=REPO, streaming=streaming)
"""
THEIRS = """
from datasets import load_dataset
mark()
data = load_dataset("parquet", data_files=parquet, split="train", streaming=streaming)
"""
FRESH = """
import sys, time
began = last = time.perf_counter()
def mark():
    global last
    last = time.perf_counter()
name, parquet, streaming, COMMIT, REPO = *sys.argv[1:3], sys.argv[3] == "stream", *sys.argv[4:6]
{load}
seen = 0
for row in data:
    assert row["image"].size == (32, 32)
    seen += 1
    if seen == {first}:
        break
now = time.perf_counter()
print(now - began, now - last)
"""


def written(shards: Path, folder: Path) -> None:
    """Write the shards of a tenth and of all training images."""
    from lotterybench.build import build_subset, save_subset
    from lotterybench.records import Budget
    from lotterybench.shards import write_shards

    os.environ["LOTTERYBENCH_SUBSETS"] = str(folder / "subsets")
    whole = build_subset("cifar100", "uniform", Budget(fraction=1.0), name="all")
    save_subset(*whole, folder / "subsets")
    write_shards([f"cifar100/{name}" for name in SUBSETS], shards)


def tars_of(shards: Path, name: str) -> list[str]:
    """Return the tars of a subset's training split, in order."""
    index = json.loads((shards / "shards.json").read_bytes())
    [config] = [config for config in index["configs"] if config["name"] == name]
    return [str(shards / shard["path"]) for shard in config["shards"]["train"]]


def cached(shards: Path, home: Path) -> None:
    """Lay a folder of shards down as the Hub's client lays down a commit that it downloaded."""
    place = home / "hub" / f"datasets--{REPO.replace('/', '--')}"
    shutil.copytree(shards, place / "snapshots" / COMMIT)


def seen(data: Iterable[Any]) -> int:
    """Read and decode everything; return how many samples there were."""
    return sum(1 for _ in data)


def reading(name: str, tars: list[str], rounds: int) -> dict[str, Any]:
    """Read all samples of a subset in turns, with each of ours and with webdataset."""
    import webdataset as wds
    from timing import Setting, measure

    from lotterybench import load_subset

    def ours(streaming: bool) -> Callable[[], None]:
        def read() -> None:
            data = load_subset(f"cifar100/{name}", revision=COMMIT, repo=REPO, streaming=streaming)
            assert seen(data) == SUBSETS[name]

        return read

    def theirs() -> None:
        data = wds.WebDataset(tars, shardshuffle=False).decode("pil").to_tuple("png", "cls")
        assert seen(data) == SUBSETS[name]

    setting = Setting("cpu", 1, SUBSETS[name], 1, rounds)
    return {
        "table": measure({"table": ours(False), "webdataset": theirs}, setting),
        "stream": measure({"stream": ours(True), "webdataset": theirs}, setting),
    }


def first_samples(name: str, home: Path, rounds: int) -> dict[str, Any]:
    """Time the first samples of a subset in fresh processes, in turns: medians in seconds.

    `process` counts the imports, `data` begins after them. Every process has an empty cache of
    prepared datasets.
    """
    from lotterybench import load_subset

    parquet = home / f"{name}.parquet"
    load_subset(f"cifar100/{name}", revision=COMMIT, repo=REPO).to_parquet(parquet)
    arms = {
        "table": (OURS, "table"), "stream": (OURS, "stream"),
        "datasets, Parquet": (THEIRS, "table"), "datasets, Parquet, streaming": (THEIRS, "stream"),
    }  # fmt: skip
    taken: dict[str, list[list[float]]] = {arm: [] for arm in arms}
    for turn in range(rounds + 1):
        for arm, (load, how) in arms.items():
            code = FRESH.format(load=load, first=FIRST)
            with tempfile.TemporaryDirectory() as empty:
                done = subprocess.run(
                    [sys.executable, "-c", code, name, str(parquet), how, COMMIT, REPO],
                    env=os.environ | {"HF_DATASETS_CACHE": empty}, check=True,
                    stdout=subprocess.PIPE, text=True,
                )  # fmt: skip
            if turn:  # the first warms up
                taken[arm].append([float(word) for word in done.stdout.split()[-2:]])
    report: dict[str, Any] = {
        what: {
            arm: round(statistics.median(each[place] for each in found), 2)
            for arm, found in taken.items()
        }
        for place, what in enumerate(("process", "data"))
    }
    for ours, peer in (("table", "datasets, Parquet"), ("stream", "datasets, Parquet, streaming")):
        ratios = [t[1] / o[1] for o, t in zip(taken[ours], taken[peer], strict=True)]
        report[f"{ours} / {peer}, data"] = round(statistics.median(ratios), 2)
    return report


def main() -> None:
    """Print the report as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--shards", type=Path, help="shards of an earlier call, or where to write")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        home = folder / "hf"
        # Read when the client is imported; every file is in its cache.
        os.environ |= {
            "HF_HOME": str(home),
            "HF_HUB_OFFLINE": "1",
            "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        }
        shards = given.shards or folder / "shards"
        if not shards.is_dir():
            written(shards, folder)
        cached(shards, home)
        from lotterybench.provenance import processor, versions

        names = list(SUBSETS)[: 1 if given.quick else None]
        rounds = 1 if given.quick else given.rounds
        report: dict[str, Any] = {
            "processor": processor(), "cores": os.cpu_count(),
            "software": versions("datasets", "webdataset", "pyarrow", "pillow"),
            "rounds": rounds, "first": FIRST,
        }  # fmt: skip
        for subset in names:
            tars = tars_of(shards, subset)
            report[subset] = {
                "images/s": reading(subset, tars, rounds),
                "seconds to the first samples": first_samples(subset, home, rounds),
            }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
