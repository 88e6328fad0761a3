"""Base and selector make a subset: the manifest, its positions, and the rules both must keep."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from lotterybench.choose_pool import ChoosePool, choose_pool
from lotterybench.errors import BadRecord, BadRequest
from lotterybench.manifests import (
    find_record,
    load_keyring,
    load_positions,
    pinned,
    save_manifest,
)
from lotterybench.paths import manifest_file
from lotterybench.provenance import code_digest
from lotterybench.recordings import Stored, check_base, find_signals
from lotterybench.records import (
    Base,
    Budget,
    Declared,
    PriorTargets,
    SelectedWith,
    Stream,
    Subset,
)
from lotterybench.selection import Pool, Selector, selector
from lotterybench.signals import Arrays
from lotterybench.streams import digests_of_epochs
from lotterybench.tracks import find_track
from lotterybench.validity import describe_positions, manifest_of, problems, stream_problems
from lotterybench.wordnet import class_lists, lemmas, paths

Columns = dict[str, NDArray[np.generic]]


def build_subset(
    base: str,
    chosen: str,
    budget: Budget,
    *,
    name: str,
    seed: int = 0,
    version: int = 1,
    settings: dict[str, Any] | None = None,
    signals: str | Sequence[str] | None = None,
    track: str | None = None,
) -> tuple[Subset, Columns | None]:
    """Select from a base; return the manifest and, for samples, the positions' columns.

    They are `position` uint32 (n,) and, of a selector that weighs, `weight` float32 (n,). A base
    that is only declared gives class lists that read no signals, and `BadData` for all else.

    `signals` is the beginning of a recorded set's digest; without it, a selector that reads
    signals takes the only set that has them. One that reads results of methods takes several, all
    by default, and `track` is one that scores none of their families. Equal arguments give equal
    manifests. Raises `BadRequest` if the budget does not fit the selector or the base, a setting
    is not one of the selector's, signals are missing or not of this base, or the track scores a
    family of the choose pool (protocol §6).
    """
    settings = settings or {}
    record, _ = find_record(base)
    how = selector[chosen]
    _check_settings(chosen, how, settings)
    names = [signals] if isinstance(signals, str) else list(signals or [])
    stored = _signals(record, how, names, track)
    size = _size(budget, chosen, how, record)
    pool = _pool(record, stored)
    picked, weight = how.pick(pool, size, np.random.default_rng(seed), **settings)
    columns = _columns(picked, weight) if how.kind == "samples" else None
    subset = manifest_of(
        record,
        name,
        code=code_digest("selection/**/*.py"),
        version=version,
        kind=how.kind,
        selector=chosen,
        settings=settings,
        seed=seed,
        budget=budget,
        classes=None if columns else [record.class_names[label] for label in picked],
        positions=describe_positions(columns) if columns else None,
        selected_with=_shown(how, stored),
    )
    return subset, columns


def build_stream(
    base: str,
    ratio: float,
    *,
    name: str,
    seed: int = 0,
    version: int = 1,
    targets: PriorTargets | None = None,
) -> Subset:
    """Return the manifest of a stream that draws ⌊ratio · n⌋ samples of a base for every epoch.

    `targets` are what its samples are trained towards, if anything. `save_subset(…, None, root)`
    writes it. Raises `BadRequest` for a ratio outside (0, 1] and a name that is none. Protocol §10.
    """
    record = pinned(find_record(base)[0])
    digests = digests_of_epochs(load_keyring(base).keys["train"], seed, ratio)
    return manifest_of(
        record,
        name,
        code=code_digest("streams.py"),
        version=version,
        kind="stream",
        selector="redrawn",
        seed=seed,
        budget=Budget(fraction=ratio),
        stream=Stream(epochs=digests, targets=targets),
        selected_with=SelectedWith(),
    )


def save_subset(subset: Subset, columns: Columns | None, root: Path) -> Path:
    """Write a built subset below `root`; return the manifest's path."""
    return save_manifest(subset, columns, root)


def _pool(record: Base | Declared, stored: Stored | ChoosePool | None) -> Pool:
    """Return what a selector sees of a base; no labels where no sample is known."""
    labels = np.zeros(0, np.int64)
    if isinstance(record, Base):
        labels = load_keyring(record.id).labels["train"].astype(np.int64)
    return Pool(
        labels,
        len(record.class_names),
        signals=stored or Arrays(),
        names=tuple(record.class_names),
        paths=paths(record),
        lemmas=lemmas(),
        lists=class_lists(),
    )


def _columns(picked: NDArray[np.int64], weight: NDArray[np.float32] | None) -> Columns:
    columns: Columns = {"position": picked.astype(np.uint32)}
    return columns if weight is None else {**columns, "weight": weight}


def manifest_problems(file: Path) -> list[str]:
    """Return every rule that a manifest on disk breaks, its selector's declarations included."""
    try:
        subset = Subset.read(file.read_bytes(), file.name)
        base, _ = find_record(subset.base)
        keyring = load_keyring(base.id) if isinstance(base, Base) else None
        columns = load_positions(file) if subset.positions else None
    except BadRecord as error:
        return [str(error)]
    found = problems(subset, columns, base, keyring)
    if keyring is not None and not found:
        found += stream_problems(subset, keyring)
    if file.parts[-2:] != manifest_file(Path(), subset.id, subset.version).parts[-2:]:
        found.append(f"the manifest of {subset.ref} lies in another one's place")
    if subset.selector in selector and columns is not None and keyring is not None and not found:
        how = selector[subset.selector]
        labels = keyring.labels["train"][np.asarray(columns["position"]).astype(np.int64)]
        counts = np.bincount(labels, minlength=len(base.class_names))
        there = np.bincount(keyring.labels["train"], minlength=len(base.class_names))
        # A class that is used up may fall behind the others.
        if how.balanced and (counts < np.minimum(there, counts.max() - 1)).any():
            found.append(
                f"class counts range from {counts.min()} to {counts.max()}; {subset.selector} "
                "promises a difference of one at most"
            )
    return found


def _signals(
    record: Base | Declared, how: Selector, names: list[str], track: str | None
) -> Stored | ChoosePool | None:
    """Return the recorded set, or sets, that a selection reads; None where it reads none."""
    if track is not None and not how.methods:
        raise BadRequest(f"{how.name} reads no results of methods; leave --track out")
    if not how.spec.reads:
        if names:
            raise BadRequest(f"{how.name} reads no signals; leave --signals out")
        return None
    base = pinned(record)
    if how.methods:
        pool = choose_pool(base, names, load_keyring(base.id).labels["train"])
        if track is not None:
            pool.check_apart(find_track(track))
        return pool
    if len(names) > 1:
        raise BadRequest(f"{how.name} reads one recorded set; {len(names)} were given")
    found = find_signals(base.id, names[0] if names else None, how.spec.reads)
    check_base(found.recorded, base)
    return found


def _shown(how: Selector, stored: Stored | ChoosePool | None) -> SelectedWith:
    """Return what a selector was shown: a supervised proxy has seen labels, whoever reads it."""
    if stored is None:
        return SelectedWith(labels=how.labels)
    if isinstance(stored, ChoosePool):
        return stored.shown()
    of = stored.recorded
    return SelectedWith(
        signals=of.digest,
        proxy=of.proxy,
        proxy_seeds=of.seeds,
        # of a proxy that reads no labels the default, which leaves no trace
        proxy_folds=of.folds if of.proxy.labels else 3,
        labels=how.labels or of.proxy.labels,
    )


def _size(budget: Budget, name: str, how: Selector, base: Base | Declared) -> int:
    classes = len(base.class_names)
    if how.kind == "classes":
        if budget.classes is None:
            raise BadRequest(f"{name} selects classes: give --classes")
        if budget.classes > classes:
            raise BadRequest(f"{budget.classes} classes were asked for; {base.id} has {classes}")
        return budget.classes
    if budget.classes is not None:
        raise BadRequest(f"{name} selects samples: give --count or --fraction")
    rows = pinned(base).splits["train"].rows
    size = budget.count if budget.count is not None else round((budget.fraction or 0) * rows)
    if not 0 < size <= rows:
        raise BadRequest(f"{size} samples were asked for; {base.id} has {rows} to train on")
    return size


def _check_settings(name: str, how: Selector, settings: dict[str, Any]) -> None:
    known = how.settings
    strange = sorted(set(settings) - set(known))
    if strange:
        raise BadRequest(
            f"{name} has no setting {', '.join(strange)}; it has {', '.join(known) or 'none'}"
        )
    for setting, value in settings.items():
        try:
            TypeAdapter(known[setting].type).validate_python(value, strict=True)
        except ValidationError as error:
            fault = error.errors()[0]["msg"]
            raise BadRequest(f"{name}: {setting} is {value!r}: {fault}") from None
