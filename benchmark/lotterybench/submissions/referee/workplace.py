"""Where the referee keeps things: one folder per round, and who may write in it."""

from pathlib import Path

from lotterybench.storage import write_whole
from lotterybench.submissions.referee.records import Rerun

RECORD = "rerun.json"


class Workplace:
    """The folder of one round.

    `results/` has a folder per track, begun with the reference results; `results/subsets/` the
    submitted manifests; `results/submissions/<name>/rerun.json` the records that the site shows.
    `submissions/<name>/` holds a submission's files as they were taken (`files/`), what its code
    left (`left/`) and its logs (`logs/`); `round.json` and `secret` are the round's, `audit.jsonl`
    tells who did what.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.results = folder / "results"
        self.subsets = self.results / "subsets"
        self.round = folder / "round.json"
        self.secret = folder / "secret"
        self.audit = folder / "audit.jsonl"

    def place(self, name: str) -> Path:
        """Return the folder of a submission's files and logs."""
        return self.folder / "submissions" / name

    def files(self, name: str) -> Path:
        """Return where a submission's files lie as they were taken."""
        return self.place(name) / "files"

    def left(self, name: str) -> Path:
        """Return where what its code left lies, once it was checked."""
        return self.place(name) / "left"

    def logs(self, name: str) -> Path:
        """Return where the logs of its code lie."""
        return self.place(name) / "logs"

    def record(self, name: str) -> Path:
        """Return the record of a rerun."""
        return self.results / "submissions" / name / RECORD

    def read(self, name: str) -> Rerun | None:
        """Return a rerun's record, None if there is none yet."""
        file = self.record(name)
        return Rerun.read(file.read_bytes(), str(file)) if file.is_file() else None

    def write(self, rerun: Rerun) -> None:
        """Write a rerun's record, whole or not at all."""
        write_whole(self.record(rerun.name), rerun.pretty())

    def reruns(self) -> list[Rerun]:
        """Return all records, by name."""
        files = sorted((self.results / "submissions").glob(f"*/{RECORD}"))
        return [Rerun.read(file.read_bytes(), str(file)) for file in files]
