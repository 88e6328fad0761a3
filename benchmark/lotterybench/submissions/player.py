"""The program that runs submitted code: arrays in, arrays out, no scores.

It is not trusted itself, since that code can change whatever it does: who starts it reads what it
leaves as a stranger's. It imports no other part of the package.
"""

import importlib.util
import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

BATCH = 256  # images that an encoder is shown at once
SAID = 300  # characters of an error that are passed on
ENCODER = "encoder.pt"
Function = Callable[..., Any]


def main(inputs: Path, out: Path) -> int:
    """Carry out `inputs/task.json`; leave files of each call in `out`, or say what went wrong.

    What went wrong is the last line of standard error, and the exit status is 1.
    """
    task = json.loads((inputs / "task.json").read_text())
    try:
        function = _function(inputs / "code", task["file"], task["function"])
        for number, call in enumerate(task["calls"]):
            _PLAY[task["kind"]](function, task, call, inputs, out, number)
    except Exception as error:
        sys.stderr.write(f"\n{_said(error, inputs / 'code')}\n")
        return 1
    return 0


def _function(code: Path, file: str, name: str) -> Function:
    """Import a file with the folder of its submission in the path; return the function."""
    sys.path.insert(0, str(code))
    sys.dont_write_bytecode = True
    spec = importlib.util.spec_from_file_location("submitted", code / file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no Python file")
    module: ModuleType = importlib.util.module_from_spec(spec)
    sys.modules["submitted"] = module
    spec.loader.exec_module(module)
    function: Function = getattr(module, name)
    return function


def _select(
    function: Function, task: dict[str, Any], call: dict[str, Any], inputs: Path, out: Path,
    number: int,
) -> None:  # fmt: skip
    """Call a selector on the samples in one order; leave its positions in that order."""
    order = np.load(inputs / call["order"]) if call["order"] else None
    labels = np.load(inputs / "labels.npy") if task["labels"] else None
    signals = {name: np.load(inputs / f"signal-{name}.npy") for name in task["reads"]}
    if order is not None:
        labels = None if labels is None else labels[order]
        axes = task["axes"]
        signals = {name: np.take(found, order, axes[name]) for name, found in signals.items()}
    rng = np.random.default_rng(call["seed"])
    found = function(signals, labels, task["size"], rng, **task["settings"])
    np.save(out / f"positions-{number}.npy", np.asarray(found), allow_pickle=False)


def _train(
    function: Function, task: dict[str, Any], call: dict[str, Any], inputs: Path, out: Path,
    number: int,
) -> None:  # fmt: skip
    """Call a method on training images; leave its encoder as a file that only a box opens."""
    import torch

    torch.set_num_threads(task["threads"])
    torch.manual_seed(call["seed"])
    device = task["budget"]["device"]
    images = torch.from_numpy(np.load(inputs / "images.npy")).to(device)
    labels = None
    if task["labels"]:
        labels = torch.from_numpy(np.load(inputs / "labels.npy")).to(device)
    encoder = function(images, labels, call["seed"], dict(task["budget"]), **task["settings"])
    if not isinstance(encoder, torch.nn.Module):
        raise TypeError(f"it returned {type(encoder).__name__}, not a torch module")
    encoder.eval()
    try:
        torch.save(encoder, out / ENCODER)
    except (AttributeError, TypeError, pickle.PicklingError) as error:
        raise TypeError(
            "the encoder cannot be stored: its classes and functions must stand at the top of a "
            f"file, and it holds no lambdas, generators and open files ({error})"
        ) from error


def _encode(
    function: Function, task: dict[str, Any], call: dict[str, Any], inputs: Path, out: Path,
    number: int,
) -> None:  # fmt: skip
    """Show images to a stored encoder; leave their features. `function` was only imported."""
    import torch

    torch.set_num_threads(task["threads"])
    torch.backends.cudnn.allow_tf32 = False  # or features would depend on the size of a batch
    device = task["budget"]["device"]
    encoder = torch.load(inputs / ENCODER, map_location=device, weights_only=False)
    encoder.eval()
    images = np.load(inputs / call["images"], mmap_mode="r")
    found = []
    with torch.no_grad():
        for start in range(0, len(images), BATCH):
            batch = torch.from_numpy(np.array(images[start : start + BATCH])).to(device)
            found.append(encoder(batch).float().cpu())
    np.save(out / f"features-{number}.npy", torch.cat(found).numpy(), allow_pickle=False)


_PLAY = {"selector": _select, "train": _train, "encode": _encode}


def _said(error: Exception, code: Path) -> str:
    """Return an error as a line, with the last line of the submission that it passed through."""
    place, trace = "", error.__traceback__
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if file.is_relative_to(code):
            place = f" ({file.relative_to(code).as_posix()} line {trace.tb_lineno})"
        trace = trace.tb_next
    return f"{type(error).__name__}: {' '.join(str(error).split())[:SAID]}{place}"
