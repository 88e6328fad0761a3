"""Starting the player in a box: where its program, the inputs and the package lie, and its end."""

import sys
from collections.abc import Mapping
from pathlib import Path

from lotterybench.paths import PACKAGE
from lotterybench.submissions.sandbox import Budget, Outcome, run
from lotterybench.submissions.sandbox.outcome import Isolation
from lotterybench.submissions.words import shown

START = 120  # seconds to import what the code imports, on a machine that does other things, too
# Inputs lie in $INPUTS under the names that `run` is given; the package beside them, as a package.
PROGRAM = (
    "import os, sys; from pathlib import Path; sys.path.insert(0, os.environ['INPUTS']); "
    "from lotterybench.submissions.player import main; "
    "sys.exit(main(Path(os.environ['INPUTS'], 'trial'), Path(os.environ['OUTPUTS'])))"
)
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def play(given: Path, out: Path, budget: Budget, isolation: Isolation, threads: int = 1) -> Outcome:
    """Let the player carry out `given/task.json` in a box of its own; what it leaves is in `out`.

    `given` holds the task, the submission's files in `code/`, and the inputs: nothing else of
    the referee's is shown. Raises as `run` does.
    """
    return run(
        [sys.executable, "-P", "-c", PROGRAM],
        reads={"trial": given, "lotterybench": PACKAGE},
        writes=out,
        budget=budget,
        environment=dict.fromkeys(THREADS, str(threads)),
        isolation=isolation,
    )


def lay_out(files: Mapping[str, bytes], folder: Path) -> None:
    """Write files, by path inside the folder."""
    for path, content in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def reason(ended: Outcome) -> str:
    """Return why a run failed: the last line that it printed, if it ended by itself."""
    lines = ended.log.split("\n")
    last = next((line for line in reversed(lines) if line.strip()), "")
    return shown(last, 240).strip("'\"") if ended.exit_code == 1 and last else ended.reason


def why(ended: Outcome) -> str:
    """Return why a run failed, with the status of one that did not end by itself."""
    said = reason(ended)
    return f"{ended.status}: {said}" if said == ended.reason else said
