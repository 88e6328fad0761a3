"""What is known here, as rows: bases, subsets, selectors, signals, methods, tracks, comparisons."""

from collections.abc import Callable
from typing import Any

from lotterybench.manifests import bases, find_base, find_manifest, find_record, subsets
from lotterybench.methods import method
from lotterybench.methods.base.recipe import recipe
from lotterybench.paths import published_folder, reference_results
from lotterybench.published import study as published_study
from lotterybench.recordings import recorded_sets
from lotterybench.records import Base, Subset
from lotterybench.selection import selector
from lotterybench.tracks import study, track

Rows = list[dict[str, Any]]


def rows(what: str, show: str | None = None) -> Rows:
    """Return the rows of one of `LISTS`; `show` names a method whose whole recipe is wanted."""
    if show is not None:
        found = recipe(show)
        head = {"method": found.name, "file": found.file, "text": found.text.splitlines()[0]}
        return [{**head, "setting": key, "value": value} for key, value in found.settings.items()]
    return LISTS[what]()


def _bases() -> Rows:
    found = []
    for name in bases():
        base, _ = find_record(name)
        splits = base.splits if isinstance(base, Base) else None
        found.append(
            {
                "base": base.id,
                "train": splits["train"].rows if splits else "declared only",
                "test": splits["test"].rows if splits else "declared only",
                "classes": len(base.class_names),
                "source": base.hub_id or base.source,
                "digest": base.digest[:12],
            }
        )
    return found


def _subsets() -> Rows:
    found = []
    for ref in subsets():
        file = find_manifest(ref)
        subset = Subset.read(file.read_bytes(), str(file))
        size = f"{subset.positions.count} samples" if subset.positions else None
        if subset.stream is not None:
            size = f"{subset.budget.fraction:.10g} of the samples, redrawn"
        found.append(
            {
                "subset": ref,
                "kind": subset.kind,
                "size": size or f"{len(subset.classes or [])} classes",
                "selector": subset.selector,
                "digest": subset.digest[:12],
            }
        )
    return found


def _selectors() -> Rows:
    return [
        {
            "selector": name,
            "selects": selector[name].kind,
            "first": selector[name].spec.first,
            "reads": ", ".join(
                (
                    *selector[name].spec.reads,
                    *["WordNet"] * selector[name].spec.tree,
                    *["labels"] * selector[name].labels,
                )
            ),
            "budgets nest": selector[name].nests,
            "paper": selector[name].spec.paper,
            "what it does": selector[name].summary,
        }
        for name in selector
    ]


def _signals() -> Rows:
    found = []
    for base in bases():
        for one in recorded_sets(base):
            found.append(
                {
                    "signals": one.digest[:16],
                    "base": base,
                    "proxy": one.proxy.label(),
                    "seeds": len(one.seeds),
                    "folds": one.folds,
                    "of this keyring": one.keyring_digest == find_base(base)[0].keyring_digest,
                }
            )
    return found


def _methods() -> Rows:
    found = []
    for name in filter(method.facts, method):
        entry = recipe(name)
        found.append(
            {
                "method": name,
                "objective": entry.objective,
                "reads labels": entry.reads_labels,
                "swept rate": ", ".join(f"{v:g} ({k})" for k, v in entry.rates.items()),
                "what it does": entry.text.splitlines()[0],
            }
        )
    return found


def _tracks() -> Rows:
    return [
        {
            "track": name,
            "version": track[name].version,
            "base": track[name].base,
            "configurations": len(track[name].scored()),
            "subsets": len(track[name].subsets),
            "title": track[name].title,
        }
        for name in track
    ]


def _studies() -> Rows:
    return [
        {
            "study": name,
            "kind": study[name].kind,
            "version": study[name].version,
            "base": study[name].base,
            "seeds": study[name].seeds,
            "title": study[name].title,
        }
        for name in study
    ]


def _published() -> Rows:
    return [
        {
            "comparison": one.id,
            "label": one.label,
            "varies": one.varies,
            "n": one.n,
            "tau-b": _rounded(one.tau),
            "5 %": _rounded(one.interval.low if one.interval else None),
            "95 %": _rounded(one.interval.high if one.interval else None),
            "rho": _rounded(one.rho),
            "resampled": f"{one.units} {one.resampled}" if one.interval else None,
            "flags": ", ".join(one.flags),
        }
        for one in published_study(published_folder(reference_results())).comparisons
    ]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


LISTS: dict[str, Callable[[], Rows]] = {
    "bases": _bases,
    "subsets": _subsets,
    "selectors": _selectors,
    "signals": _signals,
    "methods": _methods,
    "tracks": _tracks,
    "studies": _studies,
    "published": _published,
}
