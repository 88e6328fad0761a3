"""What a submitted method is worth, from the features that its boxes left, and its result lines.

The probes and their random numbers are those of `kinds.evaluation`, so that a candidate's scores
are comparable with the track's. Labels come from the keyring, and no submitted code runs here.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lotterybench.errors import BadResults
from lotterybench.kinds.evaluation import evaluate_features, flags_of
from lotterybench.kinds.ranking import device_name
from lotterybench.kinds.runs import Attempt, Run, record
from lotterybench.manifests import find_base
from lotterybench.records import canonical_json
from lotterybench.results import mend, read
from lotterybench.storage import write_whole
from lotterybench.submissions.method import Features
from lotterybench.submissions.records import Submission
from lotterybench.trials import Configuration, Isolation, Result, Setting, Track

METRICS = ("knn", "linear")  # what features alone can be scored by


def unsuitable(track: Track) -> str:
    """Say why a track cannot score a submitted method, "" if it can."""
    if track.probe != "classifier" and track.metric in METRICS:
        return ""
    what = f"a {track.probe} by {track.metric}"
    return (
        f"{track.name} ranks {what}; a submitted method is an encoder, which is scored by "
        f"{' or '.join(METRICS)} from its features: name a track that does, or none"
    )


def candidate(submission: Submission) -> Configuration:
    """Return the entry under which a submitted method's lines are written; it is in no pool.

    Its config are the settings, lists as JSON, and `labels` if it is given labels.
    """
    config: dict[str, Setting] = {
        name: canonical_json(value).decode() if isinstance(value, list) else value
        for name, value in submission.settings.items()
    }
    if submission.labels:
        config["labels"] = True
    return Configuration(
        name=submission.name, family=f"submission/{submission.name}", method="submission",
        config=config,
    )  # fmt: skip


def scored(
    run: Run, features: Features, order: NDArray[np.int64], device: str, images_seen: int
) -> Attempt:
    """Return what features are worth that are of both splits mixed: (train + test, d).

    Row i is of image `order[i]`, training images counted first. `images_seen` is what the method
    was allowed to see in training; what it did with them nobody knows.
    """
    import torch

    base, _ = find_base(run.track.base)
    found = np.empty_like(features)
    found[order] = features
    rows = base.splits["train"].rows
    bank, queries = (
        torch.from_numpy(np.ascontiguousarray(part)).to(device)
        for part in (found[:rows], found[rows:])
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the workers of a suite do, so that results repeat exactly
    try:
        metrics = evaluate_features(run, bank, queries)
    except RuntimeError as error:  # of matrices that have no inverse and no singular values
        told = str(error).partition("\n")[0][:200]
        return Attempt("invalid", f"its features cannot be scored: {told}")
    finally:
        torch.set_num_threads(threads)
    if not all(map(math.isfinite, metrics.values())):
        return Attempt("invalid", "its features cannot be scored: a metric is not finite")
    return Attempt("ok", None, metrics, images_seen, flags_of(metrics))


def line_of(
    run: Run, attempt: Attempt, *, digest: str, epochs: int, device: str, level: Isolation
) -> Result:
    """Return the result line of a candidate's run.

    `digest` is that of the submission's files, `epochs` the budget's. Images seen are what was
    allowed, epochs × images given; operations of the encoder are not counted.
    """
    found = record(run, attempt, device_name(device))
    return found.model_copy(
        update={
            "epochs": epochs,
            "code_digest": digest,
            "origin": f"submission:{run.configuration.name}",
            "isolation": level,
        }
    )


def kept_lines(file: Path, run: Run, digest: str, level: Isolation) -> list[Result]:
    """Return the lines that a candidate's file has; the caller holds its lock.

    A half-written one is set aside, and those that failed for reasons of the machine are dropped.
    Raises `BadResults` for lines of other files, of another pool or isolation.
    """
    mend(file)
    found = read(file)
    wanted = {
        "code_digest": digest,
        "origin": f"submission:{run.configuration.name}",
        "isolation": level,
        "track_digest": run.track.digest(),
        "base_digest": run.base_digest,
        "data_digest": run.data_digest,
    }
    for number, one in enumerate(found, 1):
        for field, value in wanted.items():
            if getattr(one, field) != value:
                raise BadResults(
                    f"{file.name} line {number} has {field} {getattr(one, field)!r}, not "
                    f"{value!r}; give another --out, or remove the candidate's lines"
                )
    ended = [one for one in found if one.status != "infra"]
    if ended != found:
        write_lines(file, ended)
    return ended


def write_lines(file: Path, lines: list[Result]) -> None:
    """Write lines in the order of their seeds."""
    ordered = sorted(lines, key=lambda one: one.seed)
    write_whole(file, "".join(f"{one.line()}\n" for one in ordered).encode())
