"""A submitted selector run on its base: signals in, in an order nobody knows; positions out."""

import io
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lotterybench.errors import BadSubmission
from lotterybench.manifests import find_base, load_keyring, save_manifest
from lotterybench.paths import manifest_file
from lotterybench.progress import bar
from lotterybench.recordings import Stored, check_base, column_digest, find_signals, recorded_sets
from lotterybench.records import Base, Budget, Proxy, SelectedWith, Subset, sha256_of
from lotterybench.signals import EPOCHS, SAMPLES
from lotterybench.storage import write_whole
from lotterybench.submissions import trial_data
from lotterybench.submissions.playing import START, play, why
from lotterybench.submissions.records import Submission
from lotterybench.submissions.referee.auditing import Audit, used
from lotterybench.submissions.referee.seeds import permutation, seed
from lotterybench.submissions.referee.stopping import Stopped
from lotterybench.submissions.referee.workplace import Workplace
from lotterybench.submissions.sandbox import ArraySpec, collect
from lotterybench.submissions.sandbox import Budget as Limits
from lotterybench.submissions.sandbox.outcome import Isolation
from lotterybench.submissions.trial import INTEGERS
from lotterybench.validity import describe_positions, manifest_of

VERSION = 1  # of the manifest: a submission has one, and what is mended takes another name
LEFT = "positions.npy"
BOXES = 2  # that must leave the same
PURPOSE = "selector"
MEMORY = 4 * 2**30  # bytes: for Python, numpy and what a selector makes …
COPIES = 4  # … and so many times its inputs: itself, one in float64, and room to sort
DISK = 2**28
Positions = NDArray[np.int64]
Columns = dict[str, NDArray[np.generic]]


class Given(NamedTuple):
    """What a selector is shown: arrays by the names of the player's files, and what to say of it.

    Signals per epoch are float32 (S, E, N), others (N,) or (N, d); `labels` int64 (N,) are there
    if they were asked for. All are in the order of the keyring.
    """

    arrays: dict[str, NDArray[Any]]
    shown: SelectedWith


def select(
    record: Submission, digest: str, secret: bytes, workplace: Workplace, isolation: Isolation,
    audit: Audit, signals: str | None = None,
) -> Subset:  # fmt: skip
    """Run a submitted selector, unless it was; return the manifest of what it selects.

    `signals` is the beginning of a recorded set's digest, for bases that have several. Raises
    `Stopped` with the status of a selector that fails, and `BadRequest` where no signals are.
    """
    base, _ = find_base(record.base)
    file = manifest_file(workplace.subsets, f"{base.id}/{record.name}", VERSION)
    if file.is_file():
        return Subset.read(file.read_bytes(), file.name)
    size, among = sizes(record, base)
    order = permutation(secret, digest, "order", base.splits["train"].rows)
    trying = Trying(
        record, digest, inputs(record, base, signals), order, size, among,
        seed(secret, digest, PURPOSE), workplace, isolation, audit,
    )  # fmt: skip
    kept = workplace.left(record.name) / LEFT
    if not kept.is_file():
        buffer = io.BytesIO()
        np.save(buffer, trying.left(), allow_pickle=False)
        write_whole(kept, buffer.getvalue())
    subset, columns = trying.manifest(base, np.load(kept, allow_pickle=False))
    save_manifest(subset, columns, workplace.subsets)
    return subset


def sizes(record: Submission, base: Base) -> tuple[int, int]:
    """Return how many are selected, of how many: samples, or classes."""
    if record.budget.classes is not None:
        return record.budget.classes, len(base.class_names)
    rows = base.splits["train"].rows
    size = round((record.budget.fraction or 0) * rows)
    if size < 1:
        raise Stopped("invalid", f"{record.budget.fraction:g} of {rows} samples is less than one")
    return size, rows


def inputs(record: Submission, base: Base, signals: str | None = None) -> Given:
    """Return what a selector asks for, from the base's recorded set.

    Where none of digits is recorded, they are those of the small proxy of `submit check`; its
    digest is of the arrays. Raises `BadRequest` that names the command if nothing is recorded.
    """
    arrays: dict[str, NDArray[Any]] = {}
    shown = SelectedWith(labels=record.labels)
    if record.labels:
        arrays["labels"] = load_keyring(base.id).labels["train"].astype(np.int64)
    if not record.reads:
        return Given(arrays, shown)
    if base.id == trial_data.BASE and signals is None and not recorded_sets(base.id):
        found, shown = trial_data.signals(record.reads), _small_proxy(record)
        digest = sha256_of({name: column_digest(name, found[name]) for name in record.reads})
        shown = shown.model_copy(update={"signals": digest})
    else:
        stored = find_signals(base.id, signals, record.reads)
        check_base(stored.recorded, base)
        found, shown = {n: _read(stored, n) for n in record.reads}, _recorded(record, stored)
    return Given(arrays | {f"signal-{name}": values for name, values in found.items()}, shown)


def _read(stored: Stored, name: str) -> NDArray[np.float32]:
    values = np.stack(stored.epochs(name)) if name in EPOCHS else stored.samples(name)
    return np.ascontiguousarray(values, np.float32)


def _recorded(record: Submission, stored: Stored) -> SelectedWith:
    """Return what a recorded set says of a selection, as `build_subset` does."""
    of = stored.recorded
    return SelectedWith(
        signals=of.digest, proxy=of.proxy, proxy_seeds=of.seeds,
        proxy_folds=of.folds if of.proxy.labels else 3, labels=record.labels or of.proxy.labels,
    )  # fmt: skip


def _small_proxy(record: Submission) -> SelectedWith:
    """Return what the proxy of `trial_data` is, by every name that tracks have for its family."""
    proxy = Proxy(
        method="logistic-regression", epochs=trial_data.EPOCH_COUNT,
        families=["supervised/linear", "cross-entropy/linear"],
        config={"backbone": "linear", "lr": trial_data.RATE, "batch": trial_data.BATCH},
        labels=True,
    )  # fmt: skip
    held = any(name in SAMPLES for name in record.reads)
    return SelectedWith(
        proxy=proxy, proxy_seeds=[*range(trial_data.SEEDS)],
        proxy_folds=trial_data.FOLDS if held else 0, labels=True,
    )  # fmt: skip


@dataclass(frozen=True)
class Trying:
    """One selector with all that it is given: `size` of `among`, the samples in a secret order."""

    record: Submission
    digest: str
    given: Given
    order: Positions
    size: int
    among: int
    seed: int
    workplace: Workplace
    isolation: Isolation
    audit: Audit

    def left(self) -> Positions:
        """Run the code in two boxes; return what both left, in the order that it was shown."""
        entry, place = self.record.entry, self.workplace.place(self.record.name)
        box = place / "given"
        try:
            self._lay_out(box)
            found = [
                self._in_a_box(box, place / f"out-{at}", at)
                for at in bar(range(BOXES), BOXES, f"running {self.record.name}")
            ]
        finally:
            for each in place.glob("out-*"):
                shutil.rmtree(each)
            shutil.rmtree(box)
        if len(np.unique(found[0])) < self.size:
            raise Stopped("invalid", f"{entry} returned {self.size} numbers that are not unique")
        if any(not np.array_equal(found[0], other) for other in found[1:]):
            raise Stopped(
                "invalid",
                f"{entry} does not repeat: one seed gave two selections; draw from rng alone",
            )
        return found[0]

    def manifest(self, base: Base, picked: Positions) -> tuple[Subset, Columns | None]:
        """Return the manifest and columns of what was picked, in the keyring's order again."""
        asked, classes = self.record.budget, None
        columns: Columns | None = None
        if asked.classes is not None:
            classes = [base.class_names[label] for label in picked]
        else:
            columns = {"position": self.order[picked].astype(np.uint32)}
        subset = manifest_of(
            base,
            self.record.name,
            code=self.digest,
            version=VERSION,
            kind="classes" if columns is None else "samples",
            selector=selector_name(self.record),
            settings=self.record.settings,
            seed=self.seed,
            budget=Budget(fraction=asked.fraction, classes=asked.classes),
            classes=classes,
            positions=describe_positions(columns) if columns else None,
            selected_with=self.given.shown,
        )
        return subset, columns

    def _lay_out(self, box: Path) -> None:
        """Write what the box shows: the task, the code, and the inputs in the secret order."""
        record = self.record
        shutil.rmtree(box, ignore_errors=True)
        shutil.copytree(self.workplace.files(record.name), box / "code")
        axes = {name: trial_data.sample_axis(name) for name in record.reads}
        for name, values in self.given.arrays.items():
            axis = axes.get(name.removeprefix("signal-"), 0)
            np.save(box / f"{name}.npy", np.take(values, self.order, axis), allow_pickle=False)
        task = {
            "kind": "selector", "file": record.file, "function": record.function,
            "size": self.size, "settings": record.settings, "labels": record.labels,
            "reads": record.reads, "axes": axes, "calls": [{"seed": self.seed, "order": None}],
        }  # fmt: skip
        (box / "task.json").write_text(json.dumps(task))

    def _in_a_box(self, box: Path, out: Path, at: int) -> Positions:
        """Run the code once; return the positions that it left."""
        record = self.record
        shutil.rmtree(out, ignore_errors=True)
        held = sum(values.nbytes for values in self.given.arrays.values())
        limits = Limits(
            wall_seconds=(record.budget.seconds or 0) + START, disk_bytes=DISK, file_bytes=DISK,
            memory_bytes=MEMORY + COPIES * held,
        )  # fmt: skip
        ended = play(box, out, limits, self.isolation)
        write_whole(self.workplace.logs(record.name) / f"selector-{at}.txt", ended.log.encode())
        self.audit.note("selected", record.name, self.digest, box=at, **used(ended))
        if ended.status != "ok":
            raise Stopped(ended.status, f"{record.entry}: {why(ended)}")
        name = "positions-0.npy"
        try:
            found = collect(out, {name: ArraySpec(INTEGERS, (self.size,), 0, self.among - 1)})
        except BadSubmission as error:
            raise Stopped("invalid", f"{record.entry}: {error}") from None
        return np.asarray(found[name]).astype(np.int64)


def selector_name(record: Submission) -> str:
    """Return what a submission's selector is called: no selector of ours has a colon."""
    return f"submission:{record.name}"
