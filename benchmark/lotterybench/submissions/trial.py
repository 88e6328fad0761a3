"""Running submitted code on digits: what it returns, whether it repeats, what it takes."""

import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lotterybench.errors import BadRequest, BadSubmission
from lotterybench.paths import PACKAGE
from lotterybench.submissions import trial_data
from lotterybench.submissions.player import ALONE
from lotterybench.submissions.records import Submission
from lotterybench.submissions.sandbox import ArraySpec, Budget, Outcome, collect, run
from lotterybench.submissions.sandbox.outcome import Isolation
from lotterybench.submissions.words import shown

SEED = 20_260_101  # of the trial; the referee draws its own
START = 120  # seconds to import what the code imports, on a machine that does other things, too
LONGEST = 300  # seconds that a call on digits may take, whatever is asked for
MEMORY = 4 * 2**30
DISK = 2**28
IMAGES, OTHERS, EPOCHS = 300, 100, 2  # of a method's trial
WIDEST = 2**16  # features of an image
INTEGERS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
CLOSE = 1e-3  # relative: sums of floats depend on the size of a batch
# Inputs lie in $INPUTS under the names that `run` is given; the package beside them, as a package.
PROGRAM = (
    "import os, sys; from pathlib import Path; sys.path.insert(0, os.environ['INPUTS']); "
    "from lotterybench.submissions.player import main; "
    "sys.exit(main(Path(os.environ['INPUTS'], 'trial'), Path(os.environ['OUTPUTS'])))"
)
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
Call = dict[str, Any]


@dataclass
class Trial:
    """What a trial found; `seconds` and `memory_bytes` are the most that a process took."""

    isolation: Isolation = "sandboxed"
    seconds: float = 0.0
    memory_bytes: int = 0
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def try_code(record: Submission, files: Mapping[str, bytes]) -> Trial:
    """Run a selector or a method on digits, twice with one seed in processes of their own.

    Where no sandbox can be had it runs as an ordinary process, and a warning says so: that is for
    code of one's own.
    """
    trial = Trial()
    with tempfile.TemporaryDirectory(prefix="lotterybench-trial-") as place:
        folder = Path(place)
        _lay_out(files, folder / "trial" / "code")
        play = _try_selector if record.kind == "selector" else _try_method
        play(record, folder, trial)
    return trial


def _lay_out(files: Mapping[str, bytes], folder: Path) -> None:
    for path, content in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


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


def _try_method(record: Submission, folder: Path, trial: Trial) -> None:
    images, labels = trial_data.training_split()
    inputs: dict[str, NDArray[Any]] = {
        "images": images[:IMAGES], "others": trial_data.test_images()[:OTHERS],
    }  # fmt: skip
    if record.labels:
        inputs["labels"] = labels[:IMAGES]
    task = {"threads": 1, "budget": {"epochs": EPOCHS, "seconds": record.budget.seconds}}
    floats = ("float16", "float32", "float64")
    spec = {
        "features": ArraySpec(floats, (OTHERS, (1, WIDEST))),
        "alone": ArraySpec(floats, (ALONE, (1, WIDEST))),
    }
    calls = [{"seed": SEED}]
    first = _play(record, folder, trial, inputs, task, calls, spec)
    again = first and _play(record, folder, trial, {}, task, calls, spec)
    if not first or not again:
        return
    made, alone = first[0]["features"], first[0]["alone"]
    if made.tobytes() != again[0]["features"].tobytes():
        trial.problems.append(
            f"{record.entry} does not repeat: one seed gave two encoders; draw from seed alone"
        )
    apart = np.abs(made[:ALONE] - alone).max() if made.shape[1] == alone.shape[1] else np.inf
    if apart > CLOSE * max(float(np.abs(made).max()), 1e-6):
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
    asked = min(record.budget.seconds or LONGEST, LONGEST)
    budget = Budget(
        wall_seconds=asked * len(calls) + START, memory_bytes=MEMORY, disk_bytes=DISK,
        file_bytes=DISK,
    )  # fmt: skip
    ended = _run(there, out, budget, trial)
    trial.seconds = max(trial.seconds, ended.wall_seconds)
    trial.memory_bytes = max(trial.memory_bytes, ended.memory_bytes)
    if ended.status != "ok":
        trial.problems.append(f"{record.entry} failed on digits: {_why(ended)}")
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


def _run(inputs: Path, out: Path, budget: Budget, trial: Trial) -> Outcome:
    command = [sys.executable, "-P", "-c", PROGRAM]
    reads = {"trial": inputs, "lotterybench": PACKAGE}
    threads = dict.fromkeys(THREADS, "1")
    if trial.isolation == "sandboxed":
        try:
            return run(command, reads=reads, writes=out, budget=budget, environment=threads)
        except BadRequest as error:
            trial.isolation = "none"
            trial.warnings.append(
                f"the code ran without a sandbox ({error}): check only your own code like this"
            )
    return run(
        command, reads=reads, writes=out, budget=budget, environment=threads, isolation="none"
    )


def _why(ended: Outcome) -> str:
    """Return why a run failed: the last line that it printed, if it ended by itself."""
    lines = ended.log.split("\n")
    last = next((line for line in reversed(lines) if line.strip()), "")
    if ended.exit_code == 1 and last:
        return shown(last, 240).strip("'\"")
    return f"{ended.status}: {ended.reason}"
