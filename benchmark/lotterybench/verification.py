"""Checking anything the project writes, and listing every problem instead of the first."""

import json
from pathlib import Path

from lotterybench.build import manifest_problems
from lotterybench.errors import LotteryBenchError
from lotterybench.keyrings import load as load_keyring
from lotterybench.manifests import load_record
from lotterybench.paths import keyring_file, report_file, study_file, track_file
from lotterybench.published import study
from lotterybench.records import Declared
from lotterybench.results import read
from lotterybench.run_study import read_findings
from lotterybench.score import board, read_enumeration
from lotterybench.score.studies import report
from lotterybench.shards import INDEX, UNFINISHED, ShardIndex, shard_problems
from lotterybench.studies import read_study
from lotterybench.submissions.checking import check_submission
from lotterybench.submissions.records import RECORD as SUBMISSION
from lotterybench.trials import Track


def verify(path: Path) -> list[str]:
    """Return every problem of a manifest, base, shard folder, results file, submission or folder.

    A folder is searched for all of them. A path that holds nothing to check is a problem too. The
    code of submissions is read and not run: `submit check` runs it.
    """
    if not path.exists():
        return [f"{path}: there is no such file or folder"]
    checked, found = 0, []
    for item in _items(path):
        checked += 1
        found += [f"{item}: {problem}" for problem in _problems(item)]
    held = "base, manifest, shard folder, results file or submission"
    return found if checked else [f"{path}: holds no {held}"]


def _items(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    holding = (INDEX, UNFINISHED, SUBMISSION)
    inside = sorted({file.parent for name in holding for file in path.rglob(name)})
    sites = [file.parent for file in path.rglob("leaderboard.json")]  # their schemas are no records
    names = ("base.json", "v*.json", "track.json", "study.json", "sources.yaml", "*.jsonl")
    others = [
        file
        for pattern in names
        for file in sorted(path.rglob(pattern))
        if not any(folder in file.parents for folder in [*inside, *sites])
        # A track's results are checked together, with its track.json, and a study's findings.
        and not (file.suffix == ".jsonl" and _has_record(file.parent))
    ]
    return inside + others


def _has_record(folder: Path) -> bool:
    return track_file(folder).is_file() or study_file(folder).is_file()


def _card_problems(folder: Path) -> list[str]:
    """Return how the card of a shard folder, sound but for that, misleads `load_dataset`."""
    from lotterybench.hub.card import card_problems  # the Hub's client takes a while to import

    return card_problems(folder, ShardIndex.read((folder / INDEX).read_bytes(), INDEX))


def _problems(item: Path) -> list[str]:
    try:
        if (item / SUBMISSION).is_file():
            return check_submission(item, run=False).problems
        if item.is_dir():
            return shard_problems(item) or _card_problems(item)
        if item.suffix == ".jsonl":
            return [] if read(item) else ["holds no result"]
        if item.name == "sources.yaml":
            return [] if study(item.parent).comparisons else ["compares nothing"]
        if item.name == "study.json":
            return _study_problems(item.parent)
        if item.name == "track.json":
            return _results_problems(item.parent)
        if item.suffix == ".json" and "source" in _keys(item):
            base = load_record(item)
            if isinstance(base, Declared):
                return []
            keyring = load_keyring(keyring_file(item.parent.parent, base.id))
            same = keyring.digest() == base.keyring_digest
            return [] if same else ["the keyring does not have the digest that base.json names"]
        if item.suffix == ".json":
            return manifest_problems(item)
    except LotteryBenchError as error:
        return [str(error)]
    except OSError as error:
        return [f"cannot be read: {error.strerror}"]
    return ["is no manifest, base, shard folder or results file"]


def _study_problems(folder: Path) -> list[str]:
    """Remake the report of a study's findings; one that lies beside them must be the same."""
    frozen = read_study(study_file(folder).read_bytes(), str(study_file(folder)))
    if frozen is None:
        return ["is no study of tickets"]
    found = report[frozen.kind](frozen, read_findings(folder))
    file = report_file(folder)
    if file.is_file() and json.loads(file.read_bytes()) != json.loads(found.pretty()):
        return [f"{file.name} is not what the findings give; make it with lotterybench score"]
    return []


def _keys(file: Path) -> set[str]:
    try:
        found = json.loads(file.read_bytes())
    except ValueError:
        return set()
    return set(found) if isinstance(found, dict) else set()


def _results_problems(folder: Path) -> list[str]:
    """Read every results file of a track; score them together if each can be read."""
    found = []
    for file in sorted(folder.glob("*.jsonl")):
        try:
            if not read(file):
                found.append(f"{file} holds no result")
        except LotteryBenchError as error:
            found.append(str(error))
    if found:
        return found
    if Track.read(track_file(folder).read_bytes(), str(track_file(folder))).kind == "exact":
        read_enumeration(folder)
    else:
        board(folder)
    return found
