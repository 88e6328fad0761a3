"""Every self-supervised method on 4,000 images of CIFAR-10: the table of docs/methods.md.

Trains each on `cifar10/class-balanced-4000` for 20 epochs with two seeds, at the swept rate, and
probes the frozen encoders on all of CIFAR-10. Two cores take about an hour; interrupt and repeat
as you like. Result lines go to benchmark/derive/methods/, from which the table is printed:

    python benchmark/derive/methods.py            # runs what is missing, then prints
    python benchmark/derive/methods.py --print    # prints what is there
"""

import argparse
from pathlib import Path

import numpy as np

from lotterybench.manifests import load_subset_manifest
from lotterybench.methods import method
from lotterybench.ranking import kendall_tau
from lotterybench.results import read, results_file
from lotterybench.run import run_track
from lotterybench.trials import Configuration, Seeds, Track

HERE = Path(__file__).parent / "methods"
SUBSET = "cifar10/class-balanced-4000@1"
SEEDS = 2
ANCHORS = ("random-init", "supervised", "mae")  # MAE is ranked under fine-tuning only


def track() -> Track:
    """Return one configuration per method, on the small ResNet or, for MAE, the small ViT."""
    entries = []
    for name in method:
        if name == "stacked":  # small networks, of tracks of their own
            continue
        backbone = "vit" if name == "mae" else "resnet8"
        config = {"backbone": backbone, "epochs": 20, "batch": 128}
        if name == "random-init":
            config = {"backbone": backbone}
        else:
            config["lr"] = method.facts(name)["rates"]["adamw" if backbone == "vit" else "sgd"]
        family = f"{method.facts(name)['objective']}/{backbone}"
        entries.append(Configuration(name=name, family=family, method=name, config=config))
    return Track(
        schema_version=1, name="methods-cifar10-4000", version=1, base="cifar10", kind="ranking",
        title="Self-supervised methods on 4,000 images of CIFAR-10", probe="frozen", metric="knn",
        seeds=Seeds(full=SEEDS, subset=SEEDS), configurations=entries, anchors=list(ANCHORS),
        subsets=[SUBSET],
    )  # fmt: skip


def main() -> None:
    """Run what is missing and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--print", action="store_true", dest="only")
    if not parser.parse_args().only:
        run_track(track(), HERE, subsets=[SUBSET], full=False)
    results = read(results_file(HERE / track().name, load_subset_manifest(SUBSET)[0]))
    rows = {entry.name: [] for entry in track().configurations}
    for result in results:
        rows[result.configuration].append(result)
    scores = {
        name: np.array([[r.metrics[m] for m in ("knn", "linear")] for r in found])
        for name, found in rows.items()
    }
    print("| method | k-NN | linear probe | effective rank | flags |\n|---|--:|--:|--:|---|")
    for name in sorted(rows, key=lambda n: -scores[n][:, 0].mean()):
        found = rows[name]
        knn, linear = (" / ".join(f"{v:.1f}" for v in column) for column in scores[name].T)
        rank = " / ".join(f"{r.metrics['effective_rank']:.0f}" for r in found)
        flags = ", ".join(sorted({flag for r in found for flag in r.flags})) or "–"
        print(f"| {name} | {knn} | {linear} | {rank} | {flags} |")
    ranked = np.stack([scores[name] for name in rows if name not in ANCHORS])
    for index, metric in enumerate(("k-NN", "linear probe")):
        first, second = ranked[:, 0, index], ranked[:, 1, index]
        print(f"\nτ-b between the two seeds, {metric}: {kendall_tau(first, second):.2f}"
              f" (n = {len(ranked)})")  # fmt: skip


if __name__ == "__main__":
    main()
