"""Hostile programs in the sandbox: what each one gets, and that nothing else of it is left.

Each file of `hostile/` says in its docstring what it tries, and in constants what must become of
it: EXPECTED is a status, `refused` if the run ends well and what it leaves is not taken, `right` if
it is taken. SAYS is part of the reason. REAL marks those that succeed where there is no sandbox:
they are run so, too, since an attack that never works proves nothing.
"""

import ast
import json
import os
import secrets
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sandboxed import alive, need_sandbox

from lotterybench.errors import BadSubmission
from lotterybench.submissions.sandbox import ArraySpec, Budget, collect, run

PROGRAMS = sorted((Path(__file__).parent / "hostile").glob("*.py"))
SMALL = {
    "wall_seconds": 20.0, "memory_bytes": 2**26, "disk_bytes": 2**24, "file_bytes": 2**22,
    "files": 400, "pids": 24, "log_bytes": 2**12,
}  # fmt: skip
EXPECTED = {"positions.npy": ArraySpec(("int64",), ((0, 40),), 0, 39)}
LATEST = 20.0  # seconds after which a run that should have been ended was not
NEIGHBOUR = (
    "import os, time; time.sleep(0.05); "
    "open(os.environ['OUTPUTS'] + '/sum.txt', 'w').write(str(sum(n * n for n in range(10**4))))"
)


def constants(path):
    """Return what a program says of itself."""
    found = {}
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "").isupper():
            found[node.targets[0].id] = ast.literal_eval(node.value)
    return SimpleNamespace(**{"SAYS": "", "BUDGET": {}, "REAL": False, **found})


def program(path):
    slow = path.stem == "control_torch"
    return pytest.param(path, id=path.stem, marks=[pytest.mark.slow] * slow)


@pytest.fixture(scope="module", autouse=True)
def sandbox():
    need_sandbox()


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A host with secrets, and listeners that count who calls."""
    secret, marker = secrets.token_hex(16), secrets.token_hex(16)
    monkeypatch.setenv("HUB_TOKEN", secret)
    folder = tmp_path / "private"
    (folder / "other").mkdir(parents=True)
    for name in ("labels.npy", "results.jsonl", "other/positions.npy"):
        (folder / name).write_text(f"{secret}\n")
    canary = folder / "canary"
    canary.write_text("whole")
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(0o755)
    np.save(data / "x.npy", np.arange(40)[::-1])
    called = []
    with ExitStack() as stack:
        # /proc shows the variables that a process was started with
        bystander = subprocess.Popen(
            ["cat"], stdin=subprocess.PIPE, env={"HUB_TOKEN": secret, "PATH": os.environ["PATH"]}
        )
        stack.enter_context(bystander)
        places = {}
        for name, family, kind, address in [
            ("tcp", socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
            ("tcp6", socket.AF_INET6, socket.SOCK_STREAM, ("::1", 0)),
            ("udp", socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
            ("abstract", socket.AF_UNIX, socket.SOCK_STREAM, f"\0{marker}"),
        ]:
            listener = stack.enter_context(socket.socket(family, kind))
            try:
                listener.bind(address)
            except OSError:  # a machine without IPv6
                places[name] = 9
                continue
            listener.setblocking(False)
            if kind == socket.SOCK_STREAM:
                listener.listen()
            places[name] = marker if name == "abstract" else listener.getsockname()[1]
            called.append((name, listener))
        attack = {
            "labels": str(folder / "labels.npy"), "results": str(folder / "results.jsonl"),
            "other": str(folder / "other"), "canary": str(canary), "referee": os.getpid(),
            "bystander": bystander.pid, **places,
        }  # fmt: skip
        environment = {
            "ATTACK": json.dumps(attack), "MARKER": marker, "ATTACK_SHELL": f"echo x > {canary}",
            "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
        }  # fmt: skip
        yield SimpleNamespace(
            secret=secret, marker=marker, folder=folder, data=data, environment=environment,
            calls=lambda: [name for name, listener in called if heard(listener)],
        )  # fmt: skip


def heard(listener):
    """Say whether anybody called."""
    try:
        return bool(listener.recv(9) if listener.type == socket.SOCK_DGRAM else listener.accept())
    except BlockingIOError:
        return False


def snapshot(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def attacked(path, host, writes, isolation="sandboxed"):
    says = constants(path)
    program = host.data.parent / "program"
    program.mkdir(exist_ok=True)
    program.chmod(0o755)
    (program / "main.py").write_bytes(path.read_bytes())
    place = "/in/program/main.py" if isolation == "sandboxed" else str(program / "main.py")
    return run(
        [sys.executable, place], reads={"program": program, "data": host.data}, writes=writes,
        budget=Budget(**{**SMALL, **says.BUDGET}), environment=host.environment,
        isolation=isolation,
    )  # fmt: skip


def everything(writes, outcome):
    """Return all that came out of a run, as bytes."""
    return b"".join(snapshot(writes).values()) + outcome.model_dump_json().encode()


@pytest.mark.parametrize("path", [program(each) for each in PROGRAMS])
def test_hostile(path, host, tmp_path):
    says, writes = constants(path), tmp_path / "out"
    before, mounts = snapshot(host.folder), Path("/proc/self/mounts").read_text()
    handles, threads = len(list(Path("/proc/self/fd").iterdir())), threading.active_count()
    with ThreadPoolExecutor(1) as pool:
        neighbour = pool.submit(
            run, [sys.executable, "-c", NEIGHBOUR], reads={}, writes=tmp_path / "neighbour"
        )
        outcome = attacked(path, host, writes)
        beside = neighbour.result()

    # the others notice nothing
    assert (beside.status, beside.reason) == ("ok", "")
    assert (tmp_path / "neighbour/sum.txt").read_text() == "333283335000"
    # nothing got out, and nothing stays behind
    assert host.secret.encode() not in everything(writes, outcome)
    assert "escaped" not in outcome.files
    assert snapshot(host.folder) == before
    assert host.calls() == []
    assert alive(host.marker) == []
    assert Path("/proc/self/mounts").read_text() == mounts
    assert len(list(Path("/proc/self/fd").iterdir())) == handles
    assert threading.active_count() == threads
    # the record is honest and harmless
    assert outcome.isolation == "sandboxed"
    assert outcome.wall_seconds < LATEST or path.stem == "control_torch"
    assert len(outcome.log.encode()) <= SMALL["log_bytes"]
    assert all(each.isprintable() or each in "\n\t" for each in outcome.log)
    assert outcome.reason.isprintable()
    assert says.SAYS in outcome.reason or says.EXPECTED == "refused"
    if says.EXPECTED in ("refused", "right"):
        assert (outcome.status, outcome.log) == ("ok", "")
        if says.EXPECTED == "right":
            positions = collect(writes, EXPECTED)["positions.npy"]
            assert positions.tolist() == [39, 38, 37, 36]
        else:
            with pytest.raises(BadSubmission) as refused:
                collect(writes, EXPECTED)
            assert says.SAYS in str(refused.value)
            assert "\n" not in str(refused.value)
    else:
        assert outcome.status == says.EXPECTED, outcome
        assert bool(outcome.reason) == (outcome.status != "ok")
    if outcome.status != "ok":
        assert outcome.files == [] and not list(writes.glob("*"))
    assert snapshot(host.folder) == before  # reading what was left ran no code


@pytest.mark.parametrize("path", [program(each) for each in PROGRAMS if constants(each).REAL])
def test_attacks_succeed_without_a_sandbox(path, host, tmp_path):
    outcome = attacked(path, host, tmp_path / "out", isolation="none")
    assert (outcome.status, outcome.isolation) == ("ok", "none")
    stolen = host.secret.encode() in everything(tmp_path / "out", outcome)
    assert stolen or "escaped" in outcome.files or host.calls()


def test_what_a_rerun_sees_of_its_place(host, tmp_path):
    outcome = attacked(Path(__file__).parent / "hostile/detect_rerun.py", host, tmp_path / "out")
    assert outcome.status == "ok"
    found = (tmp_path / "out/found").read_text()
    assert found.startswith("sandbox\n")
    for trace in (socket.gethostname(), str(tmp_path), "referee", "lotterybench", str(Path.home())):
        if trace not in sys.prefix + sys.base_prefix:
            assert trace not in found


def test_terminals_are_safe(host, tmp_path):
    path = Path(__file__).parent / "hostile/terminal_escapes.py"
    outcome = attacked(path, host, tmp_path / "out")
    assert outcome.log == "red\ufffd5n\ufffd\ufffdevil <script>alert(1)</script>\n"


def test_there_are_enough():
    assert len(PROGRAMS) >= 25
    assert all(ast.get_docstring(ast.parse(path.read_text())) for path in PROGRAMS)
