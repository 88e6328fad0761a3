"""A method in its boxes: one trains and stores an encoder, others show it images.

What trains has no image but those it trains on. What sees the test images has no label and does
not know which they are. The file in between is opened by neither side of the referee.
"""

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lotterybench.errors import BadSubmission
from lotterybench.storage import space_for
from lotterybench.submissions import player
from lotterybench.submissions.playing import lay_out, reason
from lotterybench.submissions.records import Submission
from lotterybench.submissions.sandbox import ArraySpec, Budget, OpaqueSpec, Outcome, collect
from lotterybench.submissions.sandbox.collecting import Spec
from lotterybench.trials import Status

# Bytes of a stored encoder: 268 million parameters, three times those of ViT-B.
ENCODER = 2**30
# Features of an image: more than ResNet-50's 2,048. The probes invert matrices of their square.
WIDEST = 4096
LARGEST = 2.0**30  # of a feature, either way: its square is far from the largest float32
CLOSE = 1e-3  # relative: sums of floats depend on the size of a batch
Images = NDArray[np.uint8]
Features = NDArray[np.float32]
Start = Callable[[Path, Path, Budget], Outcome]


class Failed(Exception):
    """A box did not give what it should: the status of the run, and one line of reason."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


@dataclass
class Boxes:
    """The boxes of one method, each started by `start` with inputs below `place`.

    `files` are the submission's. `epochs` and `device` are told to the method, with the seconds
    that it has; `budget` is the sandbox's. `ended` tells how each box ended, by its name.
    """

    record: Submission
    files: Mapping[str, bytes]
    place: Path
    start: Start
    budget: Budget
    epochs: int
    device: str = "cpu"
    threads: int = 1
    ended: list[tuple[str, Outcome]] = field(default_factory=list)

    def train(self, name: str, images: Images, labels: NDArray[np.int64], seed: int) -> Path:
        """Train on uint8 images (n, C, H, W); return the file of the encoder.

        Labels (n,) are given if the record asks for them. Raises `Failed`.
        """
        arrays: dict[str, NDArray[Any]] = {"images": images}
        if self.record.labels:
            arrays["labels"] = labels
        given = self._given(name, "train", [{"seed": seed}], arrays)
        left = self._played(name, given)
        _collected(left, {player.ENCODER: OpaqueSpec(ENCODER)})
        return left / player.ENCODER

    def encode(self, name: str, encoder: Path, shown: Sequence[Images]) -> list[Features]:
        """Show images to a stored encoder, each array apart; return float32 features (n, d).

        Raises `Failed`.
        """
        calls = [{"images": f"images-{number}.npy"} for number in range(len(shown))]
        arrays = {f"images-{number}": images for number, images in enumerate(shown)}
        given = self._given(name, "encode", calls, arrays)
        os.link(encoder, given / player.ENCODER)  # a copy would be as large as the model
        left = self._played(name, given)
        expected = {
            f"features-{number}.npy": ArraySpec(
                ("float32",), (len(images), (1, WIDEST)), -LARGEST, LARGEST
            )
            for number, images in enumerate(shown)
        }
        found = _collected(left, expected)
        return [np.asarray(found[path], np.float32) for path in expected]

    def clear(self) -> None:
        """Remove all that the boxes were given and left."""
        shutil.rmtree(self.place, ignore_errors=True)

    def _given(
        self, name: str, kind: str, calls: list[dict[str, Any]], arrays: Mapping[str, NDArray[Any]]
    ) -> Path:
        """Lay out what a box is given: the task, the code, and arrays."""
        given = self.place / name / "given"
        with space_for(given):
            lay_out(self.files, given / "code")
            for each, values in arrays.items():
                np.save(given / f"{each}.npy", values, allow_pickle=False)
        record = self.record
        task = {
            "kind": kind, "file": record.file, "function": record.function, "calls": calls,
            "labels": record.labels, "settings": record.settings, "threads": self.threads,
            "budget": {
                "epochs": self.epochs, "seconds": record.budget.seconds, "device": self.device,
            },
        }  # fmt: skip
        (given / "task.json").write_text(json.dumps(task))
        return given

    def _played(self, name: str, given: Path) -> Path:
        """Start a box and wait for its end; return the folder of what it left."""
        left = self.place / name / "left"
        ended = self.start(given, left, self.budget)
        self.ended.append((name, ended))
        if ended.status != "ok":
            raise Failed(ended.status, reason(ended))
        return left


def _collected(left: Path, expected: Mapping[str, Spec]) -> dict[str, Any]:
    try:
        return collect(left, expected)
    except BadSubmission as error:
        raise Failed("invalid", str(error)) from None


def by_itself(together: Features, alone: Features) -> bool:
    """Say whether features of images, (k, d), are the same without the others beside them."""
    if together.shape != alone.shape:
        return False
    largest = max(float(np.abs(together).max()), 1e-6)
    return float(np.abs(together - alone).max()) <= CLOSE * largest
