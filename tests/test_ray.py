"""Runs on a Ray cluster: the same bytes as here, also when a node dies under them."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from test_executors import deed, runs_of
from test_run import REFS, SMALL, command, lines, track_json
from toys import need

from lotterybench.errors import LotteryBenchError
from lotterybench.executors import Terms, executor

try:
    import importlib.util

    RAY = importlib.util.find_spec("ray") is not None
except ValueError:
    RAY = False

# One head without CPUs and two nodes with one each; a line on standard input kills a node.
CLUSTER = """
import os, sys
from ray.cluster_utils import Cluster
shared = {"node_ip_address": "127.0.0.2", "object_store_memory": 80_000_000}
cluster = Cluster(
    initialize_head=True,
    head_node_args={
        "num_cpus": 0, "include_dashboard": False, "temp_dir": sys.argv[1], **shared
    },
)
nodes = [cluster.add_node(num_cpus=1, **shared) for _ in range(2)]
print(cluster.address, flush=True)
for line in sys.stdin:
    cluster.remove_node(nodes.pop(), allow_graceful=False)
    print("killed", flush=True)
cluster.shutdown()
"""


@pytest.fixture
def cluster():
    """A process that holds a real cluster on the loopback device; its first line is the address."""
    need("ray", RAY, "Ray is not installed")
    folder = tempfile.mkdtemp(prefix="ray")  # its sockets' paths must be short
    process = subprocess.Popen(
        [sys.executable, "-c", CLUSTER, folder],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        start_new_session=True, env=os.environ | {"RAY_USAGE_STATS_ENABLED": "0"},
    )  # fmt: skip
    yield process
    process.stdin.close()
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    process.stdout.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
def test_a_node_dies_and_no_line_is_lost(cluster, tmp_path):
    """Twelve runs; one of two nodes is killed in mid-suite. The other machine-local suite is the
    oracle."""
    track = SMALL.model_copy(update={"subsets": [REFS[0]]})
    here, there = tmp_path / "here", tmp_path / "there"
    file = track_json(tmp_path, track)
    address = cluster.stdout.readline().strip()
    assert address.startswith("127.0.0.2:")
    suite = subprocess.Popen(
        command("run", file, "--out", there / "results", "--executor", "ray", "--ray-address",
                address),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    full = there / "results/small/full.jsonl"
    deadline = time.monotonic() + 200
    while not (full.exists() and full.read_bytes().count(b"\n") >= 2):
        assert time.monotonic() < deadline
        assert suite.poll() is None, suite.communicate()
        time.sleep(0.05)
    cluster.stdin.write("kill\n")
    cluster.stdin.flush()
    assert cluster.stdout.readline() == "killed\n"
    assert suite.poll() is None, "the suite ended before a node died"
    said = suite.communicate(timeout=300)
    assert suite.returncode == 0, said
    assert said[0].endswith("16 runs, 0 were there, now 16 ok\n")
    assert said[1] == ""
    done = subprocess.run(
        command("run", file, "--out", here / "results"), capture_output=True, timeout=300,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert lines(there) == lines(here)
    for name in lines(here):
        curves = Path("results/small") / name.replace(".jsonl", ".curves")
        assert (there / curves).read_bytes() == (here / curves).read_bytes()
    assert not (there / "results/small/.checkpoints").exists()


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (None, "needs a cluster: give --ray-address or set RAY_ADDRESS"),
        ("127.0.0.1:1", "no Ray cluster answers at 127.0.0.1:1 (Connection refused)"),
        ("somewhere", "'somewhere' is no address of a Ray cluster; the form is HOST:PORT"),
        ("127.0.0.1:99999", "no Ray cluster answers at 127.0.0.1:99999"),
    ],
)
def test_a_cluster_that_is_not_there_is_told_at_once(monkeypatch, address, message):
    need("ray", RAY, "Ray is not installed")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    began = time.monotonic()
    with pytest.raises(LotteryBenchError) as info:
        next(executor["ray"](runs_of(deed("fine")), Terms(address=address)))
    assert message in str(info.value)
    assert "\n" not in str(info.value)
    assert time.monotonic() - began < 20


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(LotteryBenchError, match=r"pip install 'lotterybench\[ray\]'"):
        next(executor["ray"](runs_of(deed("fine")), Terms(address="127.0.0.1:1")))
