"""Running submitted code on digits: what it returns, whether it repeats, what it takes."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lotterybench.errors import BadRequest, BadSubmission
from lotterybench.submissions import playing, trial_data
from lotterybench.submissions.method import ENCODER, Boxes, Failed, Features, by_itself
from lotterybench.submissions.playing import lay_out, why
from lotterybench.submissions.records import Submission
from lotterybench.submissions.sandbox import ArraySpec, Budget, Outcome, collect
from lotterybench.submissions.sandbox.outcome import Isolation

SEED = 20_260_101  # of the trial; the referee draws its own
LONGEST = 300  # seconds that a call on digits may take, whatever is asked for
MEMORY = 4 * 2**30
DISK = 2**28
IMAGES, OTHERS, ALONE, EPOCHS = 300, 100, 8, 2  # of a method's trial
INTEGERS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
Call = dict[str, Any]


@dataclass
class Trial:
    """What a trial found; `seconds` and `memory_bytes` are the most that a process took."""

    isolation: Isolation = "sandboxed"
    falls_back: bool = True
    seconds: float = 0.0
    memory_bytes: int = 0
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def try_code(
    record: Submission, files: Mapping[str, bytes], isolation: Isolation | None = None
) -> Trial:
    """Run a selector or a method on digits, twice with one seed in processes of their own.

    Without an isolation, code runs as an ordinary process where no sandbox can be had, and a
    warning says so: that is for code of one's own. With one it is run so, or `BadRequest` raised.
    """
    trial = Trial(isolation or "sandboxed", falls_back=isolation is None)
    with tempfile.TemporaryDirectory(prefix="lotterybench-trial-") as place:
        folder = Path(place)
        if record.kind == "selector":
            lay_out(files, folder / "trial" / "code")
            _try_selector(record, folder, trial)
        else:
            _try_method(record, files, folder, trial)
    return trial


def _try_selector(record: Submission, folder: Path, trial: Trial) -> None:
    _, labels = trial_data.training_split()
    order = np.random.default_rng(SEED).permutation(len(labels))
    inputs = {f"signal-{name}": found for name, found in trial_data.signals(record.reads).items()}
    inputs |= {"order": order, "labels": labels} if record.labels else {"order": order}
    classes = int(labels.max()) + 1
    size, among = _size(record, len(labels), classes)
    task = {
        "size": size, "reads": record.reads,
        "axes": {name: trial_data.sample_axis(name) for name in record.reads},
    }  # fmt: skip
    spec = {"positions": ArraySpec(INTEGERS, (size,), 0, among - 1)}
    same, other = {"seed": SEED, "order": None}, {"seed": SEED + 1, "order": None}
    moved = {"seed": SEED, "order": "order.npy"}
    first = _play(record, folder, trial, inputs, task, [same], spec)
    again = first and _play(record, folder, trial, {}, task, [same, other, moved], spec)
    if not first or not again:
        return
    picked, same_again, elsewhere, permuted = (
        one["positions"].astype(np.int64) for one in (*first, *again)
    )
    for one in (picked, elsewhere, permuted):
        if len(np.unique(one)) < size:
            trial.problems.append(f"{record.entry} returned {size} numbers that are not unique")
            return
    if not np.array_equal(picked, same_again):
        trial.problems.append(
            f"{record.entry} does not repeat: one seed gave two selections; draw from rng alone"
        )
    elif set(picked) == set(elsewhere):  # one that draws at random depends on the order by right
        back = order[permuted] if among == len(labels) else permuted
        if set(back) != set(picked):
            trial.warnings.append(
                f"{record.entry} selects other samples if their order changes; ties go by "
                "position, say, which is the order of the keyring"
            )


def _size(record: Submission, rows: int, classes: int) -> tuple[int, int]:
    """Return how many to select of digits, and of how many: samples, or classes."""
    if record.budget.classes is not None:
        return min(record.budget.classes, classes - 1), classes
    return max(1, round((record.budget.fraction or 0) * rows)), rows


def _try_method(record: Submission, files: Mapping[str, bytes], folder: Path, trial: Trial) -> None:
    images, labels = trial_data.training_split()
    others = trial_data.test_images()[:OTHERS]
    disk = ENCODER + DISK
    boxes = Boxes(
        record, files, folder, partial(_run, trial=trial),
        _budget(record, 1, disk_bytes=disk, file_bytes=disk), EPOCHS,
    )  # fmt: skip
    found: list[list[Features]] = []
    try:
        for number in range(2):
            encoder = boxes.train(f"train-{number}", images[:IMAGES], labels[:IMAGES], SEED)
            found.append(boxes.encode(f"encode-{number}", encoder, [others, others[:ALONE]]))
    except Failed as error:
        which, ended = boxes.ended[-1]
        whose = record.entry if which.startswith("train") else f"the encoder of {record.entry}"
        told = why(ended) if ended.status != "ok" else error.reason
        trial.problems.append(f"{whose} failed on digits: {told}")
        return
    (made, alone), (again, _) = found
    if made.tobytes() != again.tobytes():
        trial.problems.append(
            f"{record.entry} does not repeat: one seed gave two encoders; draw from seed alone"
        )
    if not by_itself(made[:ALONE], alone):
        trial.problems.append(
            f"{record.entry}: the features of an image depend on the images beside it; an encoder "
            "in evaluation mode maps each by itself"
        )
    if float(made.std(axis=0).max()) == 0:
        trial.warnings.append(f"{record.entry}: all images have the same features")


def _play(
    record: Submission,
    folder: Path,
    trial: Trial,
    inputs: Mapping[str, NDArray[Any]],
    task: dict[str, Any],
    calls: list[Call],
    spec: Mapping[str, ArraySpec],
) -> list[dict[str, NDArray[Any]]]:
    """Run the calls in one process; return what each gave, or [] after noting why it did not.

    Inputs that an earlier process was given lie there still.
    """
    there = folder / "trial"
    for name, values in inputs.items():
        np.save(there / f"{name}.npy", values, allow_pickle=False)
    about = {
        "kind": record.kind, "file": record.file, "function": record.function,
        "settings": record.settings, "labels": record.labels, "calls": calls, **task,
    }  # fmt: skip
    (there / "task.json").write_text(json.dumps(about))
    out = folder / f"out-{len(calls)}-{len(list(folder.iterdir()))}"
    ended = _run(there, out, _budget(record, len(calls), disk_bytes=DISK, file_bytes=DISK), trial)
    if ended.status != "ok":
        trial.problems.append(f"{record.entry} failed on digits: {why(ended)}")
        return []
    expected = {
        f"{name}-{number}.npy": one for number in range(len(calls)) for name, one in spec.items()
    }
    try:
        found = collect(out, expected)
    except BadSubmission as error:
        trial.problems.append(f"{record.entry} on digits: {error}")
        return []
    return [
        {name: np.asarray(found[f"{name}-{number}.npy"]) for name in spec}
        for number in range(len(calls))
    ]


def _budget(record: Submission, calls: int, **limits: int) -> Budget:
    """Return what a box of the trial may use, with the time for so many calls."""
    asked = min(record.budget.seconds or LONGEST, LONGEST)
    return Budget(wall_seconds=asked * calls + playing.START, memory_bytes=MEMORY, **limits)


def _run(given: Path, out: Path, budget: Budget, trial: Trial) -> Outcome:
    ended = _played(given, out, budget, trial)
    trial.seconds = max(trial.seconds, ended.wall_seconds)
    trial.memory_bytes = max(trial.memory_bytes, ended.memory_bytes)
    return ended


def _played(given: Path, out: Path, budget: Budget, trial: Trial) -> Outcome:
    if trial.isolation == "sandboxed":
        try:
            return playing.play(given, out, budget, "sandboxed")
        except BadRequest as error:
            if not trial.falls_back:
                raise
            trial.isolation = "none"
            trial.warnings.append(
                f"the code ran without a sandbox ({error}): check only your own code like this"
            )
    return playing.play(given, out, budget, "none")
