"""A referee that is killed anywhere and started again ends in the same bytes as one that is not."""

import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial

import psutil
import pytest
from refereed import TINY, again, content, draft, no_workers
from sandboxed import need_sandbox

from lotterybench.submissions import trial
from lotterybench.submissions.checking import check_files
from lotterybench.submissions.referee import taking
from lotterybench.submissions.referee.auditing import acts
from lotterybench.submissions.referee.seeds import open_round
from lotterybench.submissions.referee.workplace import Workplace

CODE = "import sys; from lotterybench.cli import main; sys.argv[0] = 'lotterybench'; main()"
WAITS = """
import time
import numpy as np

KNOWN = [np.random.default_rng(seed).bit_generator.state for seed in {known}]


def select(signals, labels, size, rng, *, epochs=3):
    if rng.bit_generator.state not in KNOWN:  # not on trial
        time.sleep(99)
    return rng.permutation(len(labels))[:size]
"""


@pytest.fixture(scope="module", autouse=True)
def here():
    need_sandbox()
    with no_workers(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(taking, "check_files", partial(check_files, run=False))
        yield


class Place:
    """Submissions, a round that was begun with its secret, and what an undisturbed rerun gives."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "tiny.json").write_bytes(TINY.pretty())
        self.begun = Workplace(folder / "begun")
        open_round(self.begun)
        for kind in ("selector", "subset"):
            draft(kind, kind, folder / kind)
        self.count = 0

    def fresh(self):
        """Return a new copy of the round."""
        self.count += 1
        folder = self.folder / f"round-{self.count}"
        shutil.copytree(self.begun.folder, folder)
        return Workplace(folder)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return Place(tmp_path_factory.mktemp("place"))


@pytest.fixture(scope="module")
def undisturbed(place):
    """The content of results after an undisturbed rerun, by kind, and how many steps it took."""
    found = {}
    for kind in ("selector", "subset"):
        workplace = place.fresh()
        assert again(place.folder / kind, workplace, null=1).state == "verified"
        found[kind] = content(workplace.results), [act.act for act in acts(workplace)]
    return found


def killed(function, patched, last):
    """Run a function in a fork that kills itself before its `last` call of what is patched.

    Return whether it was killed: else it came to its end with fewer calls.
    """
    child = os.fork()
    if child == 0:  # no finally, no exit handler: as `kill -9` does
        calls = 0
        for name in patched:
            true = getattr(os, name)

            def counted(*given, true=true, **named):
                nonlocal calls
                calls += 1
                if calls == last:
                    os.kill(os.getpid(), signal.SIGKILL)
                return true(*given, **named)

            setattr(os, name, counted)
        try:
            function()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


@pytest.mark.slow
@pytest.mark.parametrize(
    "step",
    ["took", "checked", "selected", "selected again", "scored", "verified"],
)  # fmt: skip
def test_killed_at_a_step_of_a_selector(place, undisturbed, step):
    expected, steps = undisturbed["selector"]
    workplace = place.fresh()
    at = ["took", "checked", "selected", "selected again", "scored", "verified"].index(step)
    rerun = partial(again, place.folder / "selector", workplace, null=1)

    def stopped():
        from lotterybench.submissions.referee import auditing

        append, lines = auditing.append_line, []

        def appended(path, line):
            append(path, line)
            lines.append(line)
            if len(lines) == at + 1:
                os.kill(os.getpid(), signal.SIGKILL)

        auditing.append_line = appended
        rerun()

    assert killed(stopped, [], 0)
    assert [act.act for act in acts(workplace)] == steps[: at + 1]
    assert rerun().state == "verified"
    assert content(workplace.results) == expected
    repeated = [act.act for act in acts(workplace)][at + 1 :]
    # what was left whole is not done again: files are not taken, boxes not started twice
    assert "took" not in repeated
    assert ("selected" in repeated) == (step in ("took", "checked", "selected", "selected again"))


@pytest.mark.slow
def test_killed_before_any_file_is_put_in_its_place(place, undisturbed):
    expected, _ = undisturbed["subset"]
    last, found = 0, True
    while found:
        last += 1
        workplace = place.fresh()
        rerun = partial(again, place.folder / "subset", workplace, null=1)
        found = killed(rerun, ["replace", "rename", "fsync"], last)
        assert rerun().state == "verified"
        assert content(workplace.results) == expected, f"killed before call {last}"
        assert not list(workplace.results.rglob(".*.????????")), "drafts are left behind"
    assert last > 20


def test_half_lines_are_set_aside(place, undisturbed):
    expected, _ = undisturbed["subset"]
    workplace = place.fresh()
    rerun = partial(again, place.folder / "subset", workplace, null=1)
    assert rerun().state == "verified"
    lines = workplace.results / "tiny/subset-v1.jsonl"
    for file in (lines, workplace.audit):
        file.write_bytes(file.read_bytes()[:-40])
    workplace.record("subset").unlink()
    assert rerun().state == "verified"
    torn = [path for path in content(workplace.results) if path.endswith(".torn")]
    assert torn == ["tiny/subset-v1.jsonl.torn"]
    there = content(workplace.results)
    del there[torn[0]]
    assert there == expected
    assert acts(workplace)[-1].act == "verified"  # every line of the trail can be read again


@pytest.mark.slow
def test_nothing_of_a_killed_referee_stays(place):
    """Kill a referee while its box is at work: the box dies, too, and is started again later."""
    folder = draft(
        "selector",
        "slow",
        place.folder / "slow",
        selector__py=WAITS.format(known=[trial.SEED, trial.SEED + 1]),
    )
    workplace = place.fresh()
    child = subprocess.Popen(
        [
            sys.executable, "-c", CODE, "rerun", str(folder), "--track",
            str(place.folder / "tiny.json"), "--null", "0", "--out", str(workplace.folder),
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    family = []
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        family = _family(child)
        boxed = any(words[1:2] == ["-P"] for _, words in family)
        if boxed and workplace.place("slow").joinpath("given", "task.json").exists():
            break
        time.sleep(0.05)
    assert any(words[1:2] == ["-P"] for _, words in family)
    child.kill()
    child.wait()
    while time.monotonic() < deadline and any(_lives(one) for one, _ in family):
        time.sleep(0.05)
    assert not [words for one, words in family if _lives(one)]
    assert workplace.read("slow").state == "running"
    assert "checked" in [act.act for act in acts(workplace)]


def _family(child):
    found = []
    for one in psutil.Process(child.pid).children(recursive=True):
        try:
            found.append((one, one.cmdline()))
        except psutil.NoSuchProcess:
            continue
    return found


def _lives(process):
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
