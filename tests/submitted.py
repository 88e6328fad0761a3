"""Small submissions to hand in, and the command that does."""

from typer.testing import CliRunner

from lotterybench.cli import app
from lotterybench.errors import LotteryBenchError

SELECTOR = """
schema_version = 1
name = "mine"
kind = "selector"
licence = "MIT"
description = "What it does."
entry = "mine.py:select"
base = "digits"
authors = [{ name = "Ada Lovelace" }]
[budget]
fraction = 0.1
seconds = 60
"""


def written(folder, record=SELECTOR, **files):
    """Write a submission's folder; names of files have __ for a dot."""
    folder.mkdir(exist_ok=True)
    (folder / "submission.toml").write_text(record)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def call(*arguments):
    """Run `lotterybench submit` in this process."""
    done = CliRunner().invoke(app, ["submit", *map(str, arguments)])
    if isinstance(done.exception, LotteryBenchError):
        raise done.exception
    return done
