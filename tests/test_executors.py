"""Workers under guard: whatever a run does to its process is its status, and the suite goes on."""

import signal

import pytest
import toy_workers

from lotterybench.errors import BadData, BadRequest, LotteryBenchError
from lotterybench.executors import Ended, Limits, Started, Terms, executor
from lotterybench.executors.deaths import FAULTS, OutOfMemoryKills, verdict
from lotterybench.executors.devices import dealt, spread
from lotterybench.executors.worker import Worker
from lotterybench.kinds import Run
from lotterybench.manifests import find_base
from lotterybench.methods.base.own import load_own
from lotterybench.results import read
from lotterybench.run import run_track
from lotterybench.trials import Configuration, Seeds, Track


def track_of(*entries, subsets=(), **changes):
    """Return a track on digits of these configurations, by classifier."""
    given = {
        "schema_version": 1, "name": "rough", "version": 1, "title": "Rough", "base": "digits",
        "kind": "ranking", "probe": "classifier", "metric": "accuracy",
        "seeds": Seeds(full=1, subset=1), "configurations": list(entries), "subsets": list(subsets),
    }  # fmt: skip
    return Track(**(given | changes))


def deed(name, method="supervised", **config):
    return Configuration(name=name, family=f"test/{name}", method=method, config=config)


def runs_of(*entries):
    """Return a run on full data of each configuration."""
    track = track_of(*entries, deed("unused"))
    base, _ = find_base("digits")
    return [Run(track, None, None, base.digest, entry, 0) for entry in entries]


def carried_out(runs, **terms):
    """Return {configuration: result}, after checking that each run began and ended once."""
    events = list(executor["local"](runs, Terms(device="cpu", **terms)))
    for kind in (Started, Ended):
        keys = [event.run.key for event in events if isinstance(event, kind)]
        assert sorted(keys) == sorted(run.key for run in runs)
    ended = [event for event in events if isinstance(event, Ended)]
    assert all(event.done.result.key == event.run.key for event in ended)
    return {event.run.configuration.name: event.done.result for event in ended}


@pytest.fixture
def light(monkeypatch):
    """Workers whose child is `toy_workers.serve`: real processes, no torch."""
    monkeypatch.setattr(Worker, "serve", staticmethod(toy_workers.serve))


@pytest.mark.slow
def test_each_death_is_a_status_and_the_suite_goes_on(light, tmp_path):
    names = ("segfault", "exit", "kill", "fine")
    entries = [deed(name) for name in names] + [deed("kill-once", mark=str(tmp_path / "mark"))]
    found = carried_out(runs_of(*entries), jobs=2)
    assert {name: (result.status, result.reason) for name, result in found.items()} == {
        "segfault": ("crash", "the process died of SIGSEGV"),
        "exit": ("crash", "the method ended its process, with exit status 3"),
        "kill": ("infra", "the process was ended from outside by SIGKILL"),
        "fine": ("ok", None),
        "kill-once": ("ok", None),
    }


@pytest.mark.slow
def test_limits_end_a_run_and_no_other(light):
    """Two seconds, half a GiB: the second counts what a child of the worker holds, too."""
    entries = [deed(name) for name in ("sleep", "allocate", "child-allocates", "fine")]
    runs = runs_of(*entries)
    timely = carried_out([runs[0], runs[3]], jobs=1, limits=Limits(seconds=2))
    assert (timely["sleep"].status, timely["fine"].status) == ("timeout", "ok")
    assert timely["sleep"].reason == "not done after 2 s, the time limit"
    spare = carried_out(runs[1:], jobs=1, limits=Limits(memory=0.6))
    assert {name: r.status for name, r in spare.items()} == {
        "allocate": "oom", "child-allocates": "oom", "fine": "ok",
    }  # fmt: skip
    assert spare["allocate"].reason == "more than 0.6 GiB resident, the memory limit"


@pytest.mark.parametrize(
    ("kills", "status", "reason"),
    [
        (1, "oom", "the system killed the process for lack of memory"),
        (0, "infra", "the process was ended from outside by SIGKILL"),
    ],
)
@pytest.mark.slow
def test_a_kill_that_the_system_counted_is_for_memory(light, monkeypatch, kills, status, reason):
    """The count rises while the run is done; a worker's own kill stands in for the system's."""
    count = 7
    monkeypatch.setattr(OutOfMemoryKills, "_count", lambda self: count)
    (run,) = runs_of(deed("kill"))
    worker = Worker("cpu", Terms().conduct)
    worker.take(run)
    count += kills
    try:
        while (done := worker.look()) is None:
            pass
    finally:
        worker.close()
    assert (done.result.status, done.result.reason) == (status, reason)


def test_what_is_no_runs_fault_ends_the_suite(light, monkeypatch):
    with pytest.raises(BadData, match="a base is broken"):
        carried_out(runs_of(deed("bad-data")))
    monkeypatch.setattr(Worker, "serve", staticmethod(toy_workers.refuse))
    with pytest.raises(LotteryBenchError, match="ended with exit status 1 before it could do a"):
        carried_out(runs_of(deed("fine")))


def test_a_closed_executor_leaves_no_process(light):
    import psutil

    here = psutil.Process()
    before = set(here.children())
    events = executor["local"](runs_of(deed("sleep")), Terms(device="cpu"))
    assert isinstance(next(events), Started)
    trackers = {child for child in here.children() if "resource_tracker" in str(child.cmdline())}
    assert set(here.children()) - trackers - before
    events.close()
    assert set(here.children()) - trackers <= before


@pytest.mark.parametrize(
    ("code", "short", "status"),
    [
        (0, False, "crash"), (1, True, "crash"), (-signal.SIGKILL, True, "oom"),
        (-signal.SIGKILL, False, "infra"), (-signal.SIGTERM, True, "infra"),
        (-signal.SIGRTMIN - 1, False, "infra"),
        *((-getattr(signal, name), True, "crash") for name in sorted(FAULTS)),
    ],
)  # fmt: skip
def test_verdicts(code, short, status):
    found, reason = verdict(code, short)
    assert found == status
    assert reason and "\n" not in reason


@pytest.mark.parametrize(
    ("group", "file"),
    [
        ("0::/a/b", "sys/fs/cgroup/a/b/memory.events"),
        ("0::/hidden", "sys/fs/cgroup/memory.events"),
        ("4:memory:/a\n0::/", "sys/fs/cgroup/memory/a/memory.oom_control"),
        ("4:memory:/hidden\n0::/", "sys/fs/cgroup/memory/memory.oom_control"),
        ("0::/", "proc/vmstat"),
    ],
)
def test_where_kills_are_counted(tmp_path, group, file):
    """Version 2 and 1 of cgroups, seen from outside and inside a container, and none."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(group + "\n")
    (tmp_path / "proc/vmstat").write_text("nr_free_pages 5\noom_kill 2\n")
    counter = tmp_path / file
    counter.parent.mkdir(parents=True, exist_ok=True)
    counter.write_text("oom 9\noom_kill 3\n")
    kills = OutOfMemoryKills(tmp_path)
    kills.note()
    assert not kills.rose()
    counter.write_text("oom 9\noom_kill 4\n")
    assert kills.rose()
    kills.note()
    assert kills.rose(), "a process may die some time after the system has counted"


def test_a_machine_that_counts_no_kills(tmp_path):
    assert not OutOfMemoryKills(tmp_path).rose()


def test_workers_are_dealt_over_cards():
    assert dealt(["cuda:0", "cuda:1"], 3) == [("cuda:0", 0.5), ("cuda:1", 1.0), ("cuda:0", 0.5)]
    assert spread("cpu", 3, 2) == [("cpu", 1.0)] * 2
    assert spread("cuda:1", None, 9) == [("cuda:1", 0.25)] * 4


def test_torchruns_processes_are_not_guarded(monkeypatch):
    runs = runs_of(deed("fine"))
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with pytest.raises(BadRequest, match="needs processes that torchrun started"):
        next(executor["torchrun"](runs, Terms()))
    monkeypatch.setenv("WORLD_SIZE", "2")
    for terms in (Terms(jobs=2), Terms(limits=Limits(seconds=5))):
        with pytest.raises(BadRequest, match="under torchrun there are no --time-limit"):
            next(executor["torchrun"](runs, terms))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"executor": "rya"}, "no executor is named 'rya'; did you mean 'ray'"),
        ({"time_limit": 0}, "the time limit is 0; it lies above 0"),
        ({"memory_limit": -1.0}, "the memory limit is -1; it lies above 0"),
        ({"memory_limit": float("nan")}, "the memory limit is nan; it lies above 0"),
    ],
)
def test_senseless_terms_are_told_before_anything_is_written(tmp_path, given, message):
    with pytest.raises(LotteryBenchError, match=message):
        run_track("digits-supervised", tmp_path, **given)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_card_is_told(tmp_path):
    with pytest.raises(BadRequest, match="device 'cuda:99' cannot be used here"):
        list(executor["local"](runs_of(deed("fine")), Terms(device="cuda:99")))


ROUGH = """
import ctypes, os, sys, time
from dataclasses import replace
import torch
from lotterybench.methods.supervised import train

def rough(task, *, epochs, deed, backbone="resnet", lr=0.05, batch=32):
    if deed == "segfault":
        ctypes.string_at(0)
    if deed == "sys-exit":
        sys.exit("enough\\nof this")
    if deed == "os-exit":
        os._exit(0)
    if deed == "python-memory":
        raise MemoryError
    if deed == "torch-memory":
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate\\nmore")
    if deed == "allocate":
        held = bytearray(2 * 2**30)
        time.sleep(600)
    if deed == "suicide":
        os.kill(os.getpid(), 9)
    made = train(task, epochs=epochs, lr=lr, backbone=backbone, batch=batch)
    if deed == "nan":
        return replace(made, loss=lambda batch: sum(p.sum() for p in made.net.parameters()) * torch.nan)
    if deed == "shapes":
        return replace(made, loss=lambda batch: batch.images.float().mean((1, 2)) @ torch.ones(9))
    return made
"""  # noqa: E501
STATUSES = {
    "segfault": "crash", "sys-exit": "crash", "os-exit": "crash", "python-memory": "oom",
    "torch-memory": "oom", "allocate": "oom", "suicide": "infra",
    "nan": "invalid", "shapes": "crash", "none": "ok",
}  # fmt: skip


@pytest.mark.slow
def test_no_method_ends_the_suite(tmp_path):
    """Real trainings of a user's own method, each with a fault of its own, by two workers."""
    from lotterybench.kinds import Conduct

    file = tmp_path / "methods.py"
    file.write_text(ROUGH)
    own = f"{file}:rough"
    name = load_own(own)
    track = track_of(*(deed(what, name, epochs=1, deed=what) for what in STATUSES))
    (tmp_path / "rough.json").write_bytes(track.pretty())
    summary = run_track(
        str(tmp_path / "rough.json"), tmp_path / "out", jobs=2, device="cpu", memory_limit=1.5,
        conduct=Conduct(own=(own,)),
    )  # fmt: skip
    results = read(tmp_path / "out/rough/full.jsonl")
    assert {r.configuration: r.status for r in results} == STATUSES
    assert sum(summary.statuses.values()) == len(STATUSES)
    for result in results:
        assert (result.reason is None) == (result.status == "ok")
        assert "\n" not in (result.reason or "")
    reasons = {r.configuration: r.reason for r in results}
    assert reasons["sys-exit"] == r"the method called sys.exit('enough\nof this')"
    assert reasons["torch-memory"] == "CUDA out of memory. Tried to allocate"
    again = run_track(
        str(tmp_path / "rough.json"), tmp_path / "out", jobs=1, device="cpu", only=["none"],
        conduct=Conduct(own=(own,)),
    )  # fmt: skip
    assert again.statuses == {}
