"""Builds the canonical subsets of the bases that ship: every selector at every budget, as previews.

Reads the signals recorded on this machine (`lotterybench signals`); which ones is written into
each manifest. Streams come first, without targets. What is there already is not built again.

    python benchmark/derive/canonical.py [BASE ...] [--out subsets] [--only NAME]
"""

import argparse
import time
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

from lotterybench.build import build_stream, build_subset, save_subset
from lotterybench.manifests import find_record
from lotterybench.paths import manifest_file
from lotterybench.recordings import recorded_sets
from lotterybench.records import Base, Budget, Declared

PREVIEW = 0  # the version of all of them; version 1 is frozen with the results they were judged by
FRACTIONS = (0.05, 0.1, 0.2, 0.5)
PRIMARY = 0.1
DRAWS = {PRIMARY: 39}
OTHER_DRAWS = 20
# The selector's name, its settings, the subset's name, and the proxy whose signals it reads.
SAMPLERS: list[tuple[str, dict[str, Any], str, str | None]] = [
    ("class-balanced", {}, "class-balanced", None),
    ("el2n", {"easiest": True}, "el2n-easy", "supervised"),
    ("el2n", {}, "el2n-hard", "supervised"),
    ("forgetting", {}, "forgetting", "supervised"),
    ("ccs", {}, "ccs", "supervised"),
    ("k-center", {}, "k-center", "supervised"),
    ("herding", {}, "herding", "supervised"),
    ("facility-location", {}, "facility-location", "supervised"),
    ("graph-cut", {}, "graph-cut", "supervised"),
    ("d2", {}, "d2", "supervised"),
    ("dual", {}, "dual", "supervised"),
    ("selfsup-prototypes", {}, "selfsup-prototypes", "simclr"),
]
LISTERS: list[tuple[str, str, str | None]] = [
    ("every-kth-class", "every-kth-class", None),
    ("accuracy-easiest", "accuracy-easiest", "supervised"),
    ("accuracy-hardest", "accuracy-hardest", "supervised"),
    ("accuracy-quantiles", "accuracy-quantiles", "supervised"),
    ("wordnet-balanced", "wordnet-balanced", None),
    ("wordnet-far", "wordnet-far", None),
    ("wordnet-subtree", "wordnet-subtree", None),
]
STREAMS = {"rela-50pct": 0.5}  # the part that an epoch draws, by name


BASES = ["digits", "cifar10-5k", "cifar10", "cifar100", "tiny-imagenet", "imagenet-1k"]


class Order(NamedTuple):
    """One manifest to be built."""

    name: str
    selector: str
    budget: Budget
    settings: dict[str, Any]
    seed: int
    proxy: str | None


def orders(base: Base | Declared) -> Iterator[Order]:
    """Yield all canonical subsets of a base; one that is only declared has class lists alone."""
    if isinstance(base, Base):
        yield from sample_orders()
    yield from class_orders(base)
    yield from named_orders(base)


def sample_orders() -> Iterator[Order]:
    """Yield the subsets of samples, the smallest budget first."""
    for fraction in FRACTIONS:
        budget, size = Budget(fraction=fraction), f"{fraction:.0%}".replace("%", "pct")
        for draw in range(DRAWS.get(fraction, OTHER_DRAWS)):
            yield Order(f"uniform-{size}-draw{draw:02d}", "uniform", budget, {}, draw, None)
        for selector, settings, name, proxy in SAMPLERS:
            yield Order(f"{name}-{size}", selector, budget, settings, 0, proxy)


def class_orders(base: Base | Declared) -> Iterator[Order]:
    """Yield the class lists of at least two classes; trees only where classes have synsets."""
    from lotterybench.wordnet import paths

    count, trees = len(base.class_names), any(paths(base))
    sizes = {round(fraction * count) for fraction in (0.1, 0.2, 0.5)}
    pinned = isinstance(base, Base)
    if not pinned:  # a preview of what is asked for most; the rest is built where the data are
        sizes = {round(0.1 * count)}
    for size in sorted(size for size in sizes if size > 1):
        budget = Budget(classes=size)
        for draw in range(OTHER_DRAWS):
            name = f"uniform-{size}-classes-draw{draw:02d}"
            yield Order(name, "uniform-classes", budget, {}, draw, None)
        for selector, name, proxy in LISTERS:
            if (proxy is None or pinned) and (trees or not selector.startswith("wordnet")):
                yield Order(f"{name}-{size}-classes", selector, budget, {}, 0, proxy)


def named_orders(base: Base | Declared) -> Iterator[Order]:
    """Yield the lists that others published, for a base that has all of their classes."""
    from lotterybench.wordnet import class_lists, paths

    there = {path[-1] for path in paths(base) if path}
    for name, synsets in class_lists().items():
        if set(synsets) <= there and len(synsets) < len(base.class_names):
            budget = Budget(classes=len(synsets))
            yield Order(name, "named-list", budget, {"list": name}, 0, None)


def build_streams(base: str, pattern: str, out: Path) -> None:
    """Build the streams of a base that are missing."""
    for name, ratio in STREAMS.items():
        file = manifest_file(out, f"{base}/{name}", PREVIEW)
        if not file.is_file() and fnmatch(name, pattern):
            stream = build_stream(base, ratio, name=name, version=PREVIEW)
            save_subset(stream, None, out)
            print(stream.ref, flush=True)


def signals_of(base: Base | Declared) -> dict[str, str]:
    """Return the digest of the recorded set of each proxy; several of one are refused."""
    found: dict[str, str] = {}
    for one in recorded_sets(base.id):
        if not isinstance(base, Base) or one.keyring_digest != base.keyring_digest:
            continue
        if one.proxy.method in found:
            raise SystemExit(f"{base.id} has several recorded sets of {one.proxy.method}")
        found[one.proxy.method] = one.digest
    return found


def main() -> None:
    """Build what is missing, and say how long each selector took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bases", nargs="*", default=BASES)
    parser.add_argument("--out", type=Path, default=Path("subsets"))
    parser.add_argument("--only", default="*", help="a pattern of names, as k-center-*")
    chosen = parser.parse_args()
    for name in chosen.bases:
        if isinstance(find_record(name)[0], Base):
            build_streams(name, chosen.only, chosen.out)
    for name in chosen.bases:
        base, _ = find_record(name)
        signals = signals_of(base)
        for order in orders(base):
            file = manifest_file(chosen.out, f"{name}/{order.name}", PREVIEW)
            if file.is_file() or not fnmatch(order.name, chosen.only):
                continue
            if order.proxy and order.proxy not in signals:
                print(f"no signals of {order.proxy} on {name}: {order.name} is left out")
                continue
            began = time.perf_counter()
            subset, columns = build_subset(
                name, order.selector, order.budget, name=order.name, seed=order.seed,
                version=PREVIEW, settings=order.settings,
                signals=signals[order.proxy] if order.proxy else None,
            )  # fmt: skip
            save_subset(subset, columns, chosen.out)
            print(f"{time.perf_counter() - began:6.2f} s  {subset.ref}", flush=True)


if __name__ == "__main__":
    main()
