"""The real clients, in processes of their own, against the double and against another server."""

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time

import pytest
from hub_double import WRITER
from releases import (
    COMMAND,
    REPO,
    V1,
    V2,
    content,
    deliver,
    environment,
    inside,
    process,
)
from toys import need

from lotterybench.hub import publish

pytestmark = pytest.mark.slow


def client(hub, home, **more):
    """Return the environment of a client of the double, with the right to write."""
    return environment(hub.url, home, HF_TOKEN=WRITER, **more)


@pytest.mark.parametrize("pattern", ["POST .*/verify", "POST .*/commit/", "POST .*/tag/"])
def test_a_killed_process_is_continued(hub, repo, folders, tmp_path, pattern):
    hub.fault("hang", match=pattern, after=True)
    arguments = ["publish", folders[0], "--repo", REPO, "--tag", V1]
    running = subprocess.Popen(
        [sys.executable, "-c", COMMAND, *map(str, arguments)], env=client(hub, tmp_path),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for(lambda: any(hub.faults[0].hits(0, line) for line in list(hub.lines)))
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait()
    hub.forget()
    wait_for(lambda: hub.lock.acquire(timeout=5) and (hub.lock.release() or True))
    publish(folders[0], REPO, V1, token=WRITER)
    assert len(repo.commits) == 2 and repo.tags == {V1: repo.main}
    assert content(hub, repo.find(V1).tree) == inside(folders[0])


def wait_for(there, seconds=240):
    """Wait until something is so."""
    for _ in range(seconds * 20):
        if there():
            return
        time.sleep(0.05)
    pytest.fail("it did not happen")


LOAD = """
import sys, json, datasets
for streaming in (False, True):
    data = datasets.load_dataset(
        "org/bench", sys.argv[1], split="train", revision=sys.argv[2], streaming=streaming
    )
    rows = [[row["__key__"], row["cls"], list(row["png"].size)] for row in data]
    print(json.dumps([rows, data.features["cls"].names]))
"""


def test_datasets_loads_a_release_by_its_tag(hub, repo, folders, tmp_path):
    publish(folders[0], REPO, V1, token=WRITER)
    publish(folders[1], REPO, V2, delete=True, token=WRITER)
    done = process(LOAD, "old", V1, env=client(hub, tmp_path))
    assert done.returncode == 0, done.stderr
    mapped, streamed = map(json.loads, done.stdout.splitlines())
    assert mapped == streamed and len(mapped[0]) == 12
    assert mapped[1] == ["class-0", "class-1", "class-2"]
    with tarfile.open(folders[0] / "data/old/train-00000.tar") as tar:
        names = [name.removesuffix(".png") for name in tar.getnames() if name.endswith(".png")]
    assert [row[0] for row in mapped[0]][:8] == names
    assert (
        process(LOAD, "old", V2, env=client(hub, tmp_path)).returncode == 1
    )  # it is not in that release


SNAPSHOT = """
import sys
from huggingface_hub import snapshot_download
print(snapshot_download("org/bench", repo_type="dataset", revision=sys.argv[1]))
"""


def test_an_unreachable_hub_gives_no_other_release(hub, repo, folders, tmp_path):
    publish(folders[0], REPO, V1, token=WRITER)
    publish(folders[1], REPO, V2, delete=True, token=WRITER)
    done = process(SNAPSHOT, V2, env=client(hub, tmp_path))
    assert done.returncode == 0, done.stderr
    there = done.stdout.strip()
    away = environment("http://127.0.0.1:9", tmp_path)
    assert process(SNAPSHOT, V2, env=away).stdout.strip() == there
    lost = process(SNAPSHOT, V1, env=away)
    assert lost.returncode == 1 and "LocalEntryNotFoundError" in lost.stderr


SUBSET = """
import sys
from lotterybench import load_subset
for streaming in (False, True):
    data = load_subset("toy/small", repo="org/bench", revision=sys.argv[1], streaming=streaming)
    print([row["key"] for row in data])
"""


def test_load_subset_online_offline_and_unreachable(hub, repo, folders, tmp_path):
    deliver(hub, repo, folders[0], V1)
    deliver(hub, repo, folders[1], V2)
    first = process(SUBSET, V1, env=client(hub, tmp_path))
    assert first.returncode == 0, first.stderr
    mapped, streamed = first.stdout.splitlines()
    assert mapped == streamed and mapped.count("'") == 12
    away = environment("http://127.0.0.1:9", tmp_path)
    for env in (client(hub, tmp_path, HF_HUB_OFFLINE="1"), away):
        env = {**env, "PYTHONWARNINGS": "default"}
        hub.forget()
        again = process(SUBSET, V1, env=env)
        assert again.stdout == first.stdout, again.stderr
        assert "taking org/bench v1.0.0 from the cache" in again.stderr and hub.lines == []
        other = process(SUBSET, V2, env=env)
        assert other.returncode == 1 and other.stdout == ""
        assert "the cache holds v1.0.0 of org/bench, not v2.0.0" in other.stderr


FETCH = """
import sys, hashlib
from huggingface_hub import hf_hub_download
file = hf_hub_download("org/bench", sys.argv[1], repo_type="dataset", revision=sys.argv[2])
print(hashlib.sha256(open(file, "rb").read()).hexdigest())
"""
HASHES = "import sys, hf_xet; print(*[found.hash for found in hf_xet.hash_files(sys.argv[1:])])"


def test_large_files_go_through_xet(hub, repo, folders, tmp_path):
    hub.xet = tmp_path / "store"
    arguments = ("publish", folders[0], "--repo", REPO, "--tag", V1)
    done = process(COMMAND, *arguments, env=client(hub, tmp_path / "home", HF_HUB_DISABLE_XET="0"))
    assert done.returncode == 0, done.stderr
    assert hub.objects == {} and any("xet-write-token" in line for line in hub.lines)
    path = "data/old/train-00000.tar"
    digest = hashlib.sha256((folders[0] / path).read_bytes()).hexdigest()
    assert repo.find(V1).tree[path].sha256 == digest
    hashed = process(HASHES, folders[0] / path, env=client(hub, tmp_path))
    assert hashed.returncode == 0, hashed.stderr
    hub.xet_hashes[digest] = hashed.stdout.strip()
    fetched = process(FETCH, path, V1, env=client(hub, tmp_path / "other", HF_HUB_DISABLE_XET="0"))
    assert fetched.stdout.strip() == digest, fetched.stderr


OLAH = """
[basic]
host = "127.0.0.1"
port = {port}
repos-path = "{home}/cache"
mirrors-path = ["{home}/mirrors"]
[accessibility]
offline = true
"""


def listens(port):
    """Say whether a server on this machine takes connections."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def olah(tmp_path, folders):
    """The address of olah, an independent server, with the first folder as a git repository."""
    binary = os.environ.get("LOTTERYBENCH_OLAH") or shutil.which("olah-cli")
    need("olah", bool(binary), "no olah-cli; install olah apart and set LOTTERYBENCH_OLAH to it")
    where = tmp_path / "mirrors" / "datasets" / REPO
    shutil.copytree(folders[0], where)
    author = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    for words in (
        ("init", "-qb", "main"),
        ("add", "-A"),
        (*author, "commit", "-qm", "x"),
        ("tag", V1),
    ):
        subprocess.run(["git", *words], cwd=where, check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "olah.toml").write_text(OLAH.format(port=port, home=tmp_path))
    server = subprocess.Popen(
        [binary, "-c", "olah.toml"], cwd=tmp_path,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for(lambda: listens(port))
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def test_another_server_holds_the_same_release(olah, folders, tmp_path):
    env = environment(olah, tmp_path / "home", HF_TOKEN="hf_any")
    arguments = ("publish", "--repo", REPO, "--tag", V1, "--json")
    same = process(COMMAND, *arguments, folders[0], env=env)
    assert same.returncode == 0, same.stderr
    assert json.loads(same.stdout)["state"] == "before"  # by git's own ids of every file
    other = process(COMMAND, *arguments, folders[1], env=env)
    assert other.returncode == 1 and "has v1.0.0 already" in other.stderr
    loaded = process(LOAD, "old", V1, env=env)
    assert loaded.returncode == 0, loaded.stderr
    mapped, streamed = map(json.loads, loaded.stdout.splitlines())
    assert mapped == streamed and len(mapped[0]) == 12
    ours = process(SUBSET, V1, env=env)
    assert len(set(ours.stdout.splitlines())) == 1, ours.stderr
