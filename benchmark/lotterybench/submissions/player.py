"""The program that runs submitted code: arrays in, arrays out, no scores.

It is not trusted itself, since that code can change whatever it does: who starts it reads what it
leaves as a stranger's. It imports no other part of the package.
"""

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

ALONE = 8  # images whose features are also made without the others beside them
BATCH = 256
SAID = 300  # characters of an error that are passed on


def main(inputs: Path, out: Path) -> int:
    """Carry out `inputs/task.json`; leave arrays of each call in `out`, or say what went wrong.

    What went wrong is the last line of standard error, and the exit status is 1.
    """
    task = json.loads((inputs / "task.json").read_text())
    try:
        function = _function(inputs / "code", task["file"], task["function"])
        for number, call in enumerate(task["calls"]):
            for name, found in _PLAY[task["kind"]](function, task, call, inputs).items():
                np.save(out / f"{name}-{number}.npy", found, allow_pickle=False)
    except Exception as error:
        sys.stderr.write(f"\n{_said(error, inputs / 'code')}\n")
        return 1
    return 0


def _function(code: Path, file: str, name: str) -> Callable[..., Any]:
    """Import a file with the folder of its submission in the path; return the function."""
    sys.path.insert(0, str(code))
    sys.dont_write_bytecode = True
    spec = importlib.util.spec_from_file_location("submitted", code / file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no Python file")
    module: ModuleType = importlib.util.module_from_spec(spec)
    sys.modules["submitted"] = module
    spec.loader.exec_module(module)
    function: Callable[..., Any] = getattr(module, name)
    return function


def _select(
    function: Callable[..., Any], task: dict[str, Any], call: dict[str, Any], inputs: Path
) -> dict[str, NDArray[Any]]:
    """Call a selector on the samples in one order; return its positions in that order."""
    order = np.load(inputs / call["order"]) if call["order"] else None
    labels = np.load(inputs / "labels.npy") if task["labels"] else None
    signals = {name: np.load(inputs / f"signal-{name}.npy") for name in task["reads"]}
    if order is not None:
        labels = None if labels is None else labels[order]
        axes = task["axes"]
        signals = {name: np.take(found, order, axes[name]) for name, found in signals.items()}
    rng = np.random.default_rng(call["seed"])
    found = function(signals, labels, task["size"], rng, **task["settings"])
    return {"positions": np.asarray(found)}


def _train(
    function: Callable[..., Any], task: dict[str, Any], call: dict[str, Any], inputs: Path
) -> dict[str, NDArray[Any]]:
    """Call a method; return features of images that it has not seen, and of some by themselves."""
    import torch

    torch.set_num_threads(task["threads"])
    torch.manual_seed(call["seed"])
    images = torch.from_numpy(np.load(inputs / "images.npy"))
    labels = torch.from_numpy(np.load(inputs / "labels.npy")) if task["labels"] else None
    encoder = function(images, labels, call["seed"], dict(task["budget"]), **task["settings"])
    if not isinstance(encoder, torch.nn.Module):
        raise TypeError(f"it returned {type(encoder).__name__}, not a torch module")
    encoder.eval()
    others = torch.from_numpy(np.load(inputs / "others.npy"))
    with torch.no_grad():
        together = torch.cat([encoder(part) for part in torch.split(others, BATCH)])
        alone = encoder(others[:ALONE])
    return {"features": together.cpu().numpy(), "alone": alone.cpu().numpy()}


_PLAY = {"selector": _select, "method": _train}


def _said(error: Exception, code: Path) -> str:
    """Return an error as a line, with the last line of the submission that it passed through."""
    place, trace = "", error.__traceback__
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if file.is_relative_to(code):
            place = f" ({file.relative_to(code).as_posix()} line {trace.tb_lineno})"
        trace = trace.tb_next
    return f"{type(error).__name__}: {' '.join(str(error).split())[:SAID]}{place}"
