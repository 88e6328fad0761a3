"""The live table of a suite: it counts, names and estimates; nobody looking, nothing is drawn."""

import io
import os
import pty
import re
import subprocess

import pytest
from rich.console import Console
from test_executors import deed, runs_of
from test_run import SMALL, command, track_json

from lotterybench.cli import suite as shown
from lotterybench.executors import Ended, Started
from lotterybench.kinds import Attempt, Done, record


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is set."""
    now = [1000.0]
    monkeypatch.setattr(shown.time, "monotonic", lambda: now[0])
    return now


def picture(suite, width=100):
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(suite.picture())
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def done(run, attempt, seconds):
    return Ended(run, Done(record(run, attempt, "cpu"), seconds))


def test_what_runs_what_ended_and_what_is_left(clock):
    runs = runs_of(*(deed(name) for name in ("first", "second", "third", "fourth")))
    suite = shown.Suite(runs, "running toys")
    assert suite.left() is None
    assert "0 of 4" in picture(suite)[0]
    suite.tell(Started(runs[0]))
    clock[0] += 30
    suite.tell(done(runs[0], Attempt("ok", None, {"accuracy": 61.237}), 29.0))
    suite.tell(Started(runs[1]))
    clock[0] += 40
    failed = Attempt("crash", "ValueError: " + "long " * 40)
    suite.tell(done(runs[1], failed, 39.0))
    suite.tell(Started(runs[2]))
    clock[0] += 5
    # Two runs are left at 35 s each, and 5 s of the one have gone by.
    assert suite.left() == 65
    head, counts, titles, *rows = picture(suite)
    assert head.startswith("running toys")
    assert head.endswith("2 of 4  1:15 gone  1:05 left")
    assert counts == "1 ok  1 crash"
    assert titles.split() == ["arm", "configuration", "seed", "seconds", "status", "result"]
    assert rows[0].split() == ["full", "first", "0", "29.0", "ok", "accuracy", "61.24"]
    assert rows[1].split()[:6] == ["full", "second", "0", "39.0", "crash", "ValueError:"]
    assert rows[1].endswith("…")
    assert rows[2].split() == ["full", "third", "0", "5", "running"]
    assert len(rows) == 3


def test_only_the_last_and_the_first_few_are_named(clock):
    runs = runs_of(*(deed(f"run-{number}") for number in range(40)))
    suite = shown.Suite(runs, "running toys")
    for run in runs[:30]:
        suite.tell(Started(run))
    for run in runs[:10]:
        suite.tell(done(run, Attempt("ok", None, {"accuracy": 1.0}), 1.0))
    rows = picture(suite)[3:]
    assert [row.split()[1] for row in rows[:6]] == [f"run-{number}" for number in range(4, 10)]
    assert len(rows) == shown.LAST + shown.NOW + 1
    assert rows[-1] == "and 12 more"


@pytest.mark.slow
def test_in_a_terminal_it_is_drawn_and_gone_in_the_end(tmp_path):
    track = SMALL.model_copy(update={"subsets": []})
    main, side = pty.openpty()
    process = subprocess.Popen(
        command("run", track_json(tmp_path, track), "--out", tmp_path / "out", "--jobs", 1),
        stdout=subprocess.PIPE, stderr=side, text=True,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "110", "LINES": "30"},
    )  # fmt: skip
    os.close(side)
    drawn = b""
    try:
        while piece := os.read(main, 65536):
            drawn += piece
    except OSError:  # the terminal's other end is closed
        pass
    os.close(main)
    assert process.communicate(timeout=60)[0].endswith("8 runs, 0 were there, now 8 ok\n")
    assert process.returncode == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn.decode())
    assert re.search(r"running small .*\d of 8 .* left", text)
    assert re.search(r"full +mixer-lr0\.05 +1 +[\d.]+ +ok +accuracy \d+\.\d\d", text)
    assert re.search(r"full +resnet-lr0\.05 +0 +\d+ +running", text)
    assert drawn.count(b"\x1b[2K") > 5  # each picture erases the one before
