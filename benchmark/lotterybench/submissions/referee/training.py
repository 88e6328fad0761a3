"""A submitted method rerun: trained in a box on full data and on subsets, scored outside."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lotterybench.errors import BadResults
from lotterybench.executors.devices import choose_device
from lotterybench.kinds.data import selected, tensors
from lotterybench.kinds.runs import Attempt, Run
from lotterybench.manifests import find_base, load_subset_manifest
from lotterybench.nulls import primary_stratum, stratum
from lotterybench.paths import timings_file, track_file
from lotterybench.progress import bar
from lotterybench.records import Subset
from lotterybench.results import append, results_file
from lotterybench.storage import locked, write_whole
from lotterybench.submissions import playing
from lotterybench.submissions.method import (
    ENCODER,
    WIDEST,
    Boxes,
    Failed,
    Images,
    by_itself,
)
from lotterybench.submissions.records import SECONDS, Submission
from lotterybench.submissions.referee.auditing import Audit, used
from lotterybench.submissions.referee.probing import (
    candidate,
    kept_lines,
    line_of,
    scored,
    unsuitable,
    write_lines,
)
from lotterybench.submissions.referee.seeds import permutation, seed
from lotterybench.submissions.referee.standing import candidates_folder
from lotterybench.submissions.referee.stopping import Stopped
from lotterybench.submissions.referee.workplace import Workplace
from lotterybench.submissions.sandbox import Budget
from lotterybench.submissions.sandbox.outcome import Isolation, Outcome
from lotterybench.trials import Isolation as Level
from lotterybench.trials import Result, Track

# What torch holds before it has seen an image, twice: 1 GiB on a processor, 2 GiB with CUDA.
MEMORY, CUDA = 4 * 2**30, 4 * 2**30
# Images as float32 take four times their bytes; two augmented views and their sources 16 times.
COPIES = 16
DISK = 2**28  # for caches of libraries; the encoder and the features come on top
ALONE = 256  # images shown a second time: of a rule that changes 1 in 100 features they miss 8 %
ENOUGH = 5 / 6  # of the runs on full data must end well (protocol §1)


@dataclass(frozen=True)
class Setting:
    """What all runs of a method have in common."""

    record: Submission
    files: Mapping[str, bytes]
    track: Track
    workplace: Workplace
    isolation: Isolation
    device: str
    threads: int
    secret: bytes
    digest: str
    audit: Audit | None

    @property
    def level(self) -> Level:
        """What is written on its lines."""
        return "rerun-sandboxed" if self.isolation == "sandboxed" else "rerun-unsandboxed"


def rerun_method(
    record: Submission, code: Path, track: Track, workplace: Workplace, *, isolation: Isolation,
    device: str = "auto", seeds: int | None = None, secret: bytes, digest: str,
    jobs: int | None = None, audit: Audit | None = None,
) -> list[Path]:  # fmt: skip
    """Train a submitted method on full data and the primary subsets; return the files of lines.

    `code` is the folder of the files that were taken, `digest` theirs; `seeds` overrides the
    numbers that the track plans, `jobs` the one thread that a box has on a processor. Runs that
    have a line are not repeated. Raises `Stopped` for a track that scores no encoders, after a
    first run on full data that fails, and if more than a sixth of those fail; failures on subsets
    are results. Raises `BadRequest` where no sandbox can be had.
    """
    if why := unsuitable(track):
        raise Stopped("invalid", why)
    files = {
        file.relative_to(code).as_posix(): file.read_bytes()
        for file in sorted(code.rglob("*"))
        if file.is_file()
    }
    setting = Setting(
        record, files, track, workplace, isolation, choose_device(device), jobs or 1, secret,
        digest, audit,
    )  # fmt: skip
    _freeze(track, workplace.results / track.name)
    arms = planned(record, track, workplace, seeds)
    total = sum(map(len, arms.values()))
    everything = [(file, run) for file, runs in arms.items() for run in runs]
    first = next(iter(arms))
    for file, run in bar(everything, total, f"rerunning {record.name}"):
        with locked(file):
            there = {one.key: one for one in kept_lines(file, run, digest, setting.level)}
            line = there.get(run.key) or _done(run, file, setting)
        if line.status == "infra" or (file == first and run.seed == 0 and line.status != "ok"):
            raise Stopped(line.status, f"{run}: {line.reason}")
    for file, runs in arms.items():
        with locked(file):
            write_lines(file, kept_lines(file, runs[0], digest, setting.level))
    _enough(kept_lines(first, arms[first][0], digest, setting.level))
    return list(arms)


def planned(
    record: Submission, track: Track, workplace: Workplace, seeds: int | None = None
) -> dict[Path, list[Run]]:
    """Return a method's runs by their file of lines: full data first, then each primary subset.

    A track that names no primary budget has all its own subsets run.
    """
    base, _ = find_base(track.base)
    primary = primary_stratum(track)
    subsets: list[tuple[Subset | None, NDArray[np.int64] | None]] = [(None, None)]
    for ref in track.subsets:
        subset, positions = load_subset_manifest(ref)
        if primary in (None, stratum(subset)):
            subsets.append((subset, positions))
    place = candidates_folder(workplace.results / track.name) / record.name
    entry = candidate(record)
    return {
        results_file(place, subset): [
            Run(track, subset, positions, base.digest, entry, number)
            for number in range(seeds or (track.seeds.subset if subset else track.seeds.full))
        ]
        for subset, positions in subsets
    }


def epochs_of(track: Track) -> int:
    """Return what most of a track's scored configurations train; the most of equals, at least 1."""
    found = Counter(int(entry.config.get("epochs", 0)) for entry in track.scored())
    return max(1, max(found, key=lambda epochs: (found[epochs], epochs)))


def _freeze(track: Track, folder: Path) -> None:
    """Write the track's record beside its results; refuse results of another version of it."""
    file = track_file(folder)
    if not file.is_file():
        write_whole(file, track.pretty())
    elif Track.read(file.read_bytes(), file.name).digest() != track.digest():
        raise BadResults(
            f"the results begun here are of another version of {track.name}; give another --out"
        )


def _done(run: Run, file: Path, setting: Setting) -> Result:
    """Carry a run out and append its line."""
    start = time.perf_counter()
    attempt = _attempt(run, setting)
    line = line_of(
        run, attempt, digest=setting.digest, epochs=epochs_of(run.track), device=setting.device,
        level=setting.level,
    )  # fmt: skip
    append(file, line, time.perf_counter() - start, timings_file(file))
    return line


def _attempt(run: Run, setting: Setting) -> Attempt:
    """Train in a box, make features in others, score them here."""
    base, _ = find_base(run.track.base)
    train, labels = tensors(base.id, "train", run.resolution, "cpu")
    test, _ = tensors(base.id, "test", run.resolution, "cpu")
    given, rows = selected(run, base, labels)
    everything = np.concatenate([train.numpy(), test.numpy()])
    name = _purpose(run)
    draw = partial(permutation, setting.secret, setting.digest)
    inside = rows.numpy()[draw(f"training images {name}", len(rows))]
    order = draw(f"images {name}", len(everything))
    few = draw(f"images alone {name}", len(everything))[:ALONE]
    place = setting.workplace.place(setting.record.name) / "boxes"
    boxes = Boxes(
        setting.record, setting.files, place, partial(_start, setting=setting),
        limits(setting.record, everything, setting), epochs_of(run.track),
        setting.device.partition(":")[0], setting.threads,
    )  # fmt: skip
    boxes.clear()  # of a referee that was killed
    try:
        encoder = boxes.train(
            "train", everything[inside], given.numpy()[inside],
            seed(setting.secret, setting.digest, f"training {name}", 0),
        )  # fmt: skip
        (features,) = boxes.encode("encode", encoder, [everything[order]])
        (alone,) = boxes.encode("alone", encoder, [everything[order[few]]])
        if not by_itself(features[few], alone):
            raise Failed(
                "invalid", "the features of an image depend on the images beside it, or on its "
                "place among them; an encoder in evaluation mode maps each by itself"
            )  # fmt: skip
    except Failed as error:
        return Attempt(error.status, error.reason)
    finally:
        _write_log(run, boxes, setting)
        boxes.clear()
    seen = epochs_of(run.track) * len(inside)
    return scored(run, features, order, setting.device, seen)


def limits(record: Submission, images: Images, setting: Setting) -> Budget:
    """Return what a box may use: seconds as asked for, memory and disk by the size of the base.

    A forward pass over all images takes less than a training on them, so that all boxes have the
    same limits.
    """
    wall = (record.budget.seconds or SECONDS["method"]) + playing.START
    features = 4096 + 4 * WIDEST * len(images)
    gpu = setting.device.startswith("cuda")
    return Budget(
        wall_seconds=wall,
        cpu_seconds=wall * setting.threads + playing.START,
        memory_bytes=MEMORY + COPIES * images.nbytes + CUDA * gpu,
        disk_bytes=DISK + max(ENCODER, features),
        file_bytes=max(ENCODER, features),
        gpu=int(setting.device.partition(":")[2] or 0) if gpu else None,
    )


def _start(given: Path, out: Path, budget: Budget, setting: Setting) -> Outcome:
    ended = playing.play(given, out, budget, setting.isolation, setting.threads)
    if setting.audit is not None:
        record = setting.record
        box, track = given.parent.name, setting.track.name
        setting.audit.note(f"ran {box}", record.name, setting.digest, track=track, **used(ended))
    return ended


def _write_log(run: Run, boxes: Boxes, setting: Setting) -> None:
    """Keep what the boxes of a run printed, and how each ended."""
    text = "".join(
        f"== {name}: {ended.status} {ended.reason}, {ended.wall_seconds:g} s, "
        f"{ended.memory_bytes // 2**20} MiB\n{ended.log}\n"
        for name, ended in boxes.ended
    )
    folder = setting.workplace.logs(setting.record.name) / run.track.name
    write_whole(folder / f"{_arm(run)}-{run.seed}.txt", text.encode())


def _arm(run: Run) -> str:
    return f"{run.subset.name}-v{run.subset.version}" if run.subset else "full"


def _purpose(run: Run) -> str:
    """Return what a run's random numbers are for, so that no two runs share any."""
    return f"{run.track.name} {_arm(run)} {run.seed}"


def _enough(full: list[Result]) -> None:
    """Raise `Stopped` if too many runs on full data failed."""
    failed = [one for one in full if one.status != "ok"]
    if len(full) - len(failed) < ENOUGH * len(full):
        first = failed[0]
        raise Stopped(
            first.status,
            f"{len(failed)} of {len(full)} runs on full data failed; seed {first.seed}: "
            f"{first.reason}",
        )
