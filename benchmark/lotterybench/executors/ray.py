"""Runs on a Ray cluster: each is a task, done by a guarded worker process of its node."""

from __future__ import annotations

import atexit
import os
import socket
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from lotterybench.errors import BadRequest, LotteryBenchError
from lotterybench.executors.base import RUNS_PER_CARD, Ended, Event, Limits, Started, Terms
from lotterybench.executors.worker import Worker, wait_for
from lotterybench.kinds import Attempt, Conduct, Done, Run, record
from lotterybench.kinds.runs import CODE
from lotterybench.provenance import code_digest

# Where bases, their decoded copies, manifests and the Hub's files lie.
PASSED_ON = ("LOTTERYBENCH_DATA", "LOTTERYBENCH_CACHE", "LOTTERYBENCH_SUBSETS", "HF_")
# Read when Ray is imported.
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # no telemetry
    "RAY_BACKEND_LOG_LEVEL": "error",  # its C++ part writes to standard error
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # its coming default; else it warns
    "RAY_NUM_REDIS_GET_RETRIES": "1",  # of 40 s each, for a head that listens but says nothing
}
PATIENCE = 5.0  # seconds for the cluster's head to accept a connection
RETRIES = 3  # of a run whose node died
POLL = 1.0  # seconds until the driver looks again how large the cluster is


def carry_out(runs: Sequence[Run], terms: Terms) -> Iterator[Event]:
    """Do runs as tasks of the cluster at `terms.address`, else at RAY_ADDRESS.

    There are as many tasks at a time as the cluster has room for. A run whose node dies is done
    again on another. Folders in `terms.conduct` lie where every node sees them. Raises
    `LotteryBenchError` if Ray is not installed, or the cluster cannot be reached or runs other
    code.
    """
    ray = _import_ray()
    with _joined(ray, terms.address):
        device = _device(ray, terms)
        share = 1 / (terms.jobs or RUNS_PER_CARD) if device == "cuda" else 0
        task = ray.remote(num_cpus=1, num_gpus=share, max_retries=RETRIES)(_do)
        waiting, flying = deque(runs), dict[Any, Run]()
        while waiting or flying:
            room = max(1, _room(ray, share))  # one waits even where there is none: nodes may come
            while waiting and len(flying) < room:
                run = waiting.popleft()
                flying[task.remote(run, device, terms.conduct, terms.limits, share or 1.0)] = run
                yield Started(run)
            ended, _ = ray.wait(list(flying), num_returns=1, timeout=POLL)
            for ref in ended:
                run = flying.pop(ref)
                yield Ended(run, _collected(ray, ref, run, device))


def _do(run: Run, device: str, conduct: Conduct, limits: Limits, share: float) -> Done | Exception:
    """Do a run in this Ray worker's own guarded process; return what `Worker.look` would raise."""
    try:
        worker = _kept(device, conduct, limits, share)
        worker.take(run)
        while (done := worker.look()) is None:
            wait_for([worker])
        return done
    except Exception as error:
        return error


_workers: dict[tuple[Any, ...], Worker] = {}


def _kept(device: str, conduct: Conduct, limits: Limits, share: float) -> Worker:
    """Return the worker process kept for tasks on these terms and cards; end one for others."""
    terms = (os.environ.get("CUDA_VISIBLE_DEVICES"), device, conduct, limits, share)
    if terms not in _workers:
        _end_workers()
        _workers[terms] = Worker(device, conduct, limits, share)
        atexit.register(_end_workers)
    worker = _workers[terms]
    if not worker.idle:  # a task that was cancelled left it at work
        worker.close()
        worker = _workers[terms] = Worker(device, conduct, limits, share)
    return worker


def _end_workers() -> None:
    while _workers:
        _workers.popitem()[1].close()


def _collected(ray: Any, ref: Any, run: Run, device: str) -> Done:
    """Return a task's result; what the cluster did to it is a status of its run."""
    try:
        done = ray.get(ref)
    except ray.exceptions.OutOfMemoryError:
        reason = "Ray ended the task because its node was short of memory"
        return Done(record(run, Attempt("oom", reason), device), 0.0)
    except (ray.exceptions.RayError, OSError) as error:
        reason = f"{type(error).__name__}: the task was lost {RETRIES + 1} times"
        return Done(record(run, Attempt("infra", reason), device), 0.0)
    if isinstance(done, Exception):
        raise done
    assert isinstance(done, Done)
    if done.result.code_digest != code_digest(*CODE):
        raise LotteryBenchError(
            "a node of the Ray cluster runs other code of lotterybench than this machine; "
            "install the same version on all"
        )
    return done


def _import_ray() -> Any:
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError:
        raise LotteryBenchError(
            "the ray executor needs Ray; install it with pip install 'lotterybench[ray]'"
        ) from None
    return ray


@contextmanager
def _joined(ray: Any, address: str | None) -> Iterator[None]:
    """Be a driver of the cluster inside the block; one that was joined before is left joined."""
    if ray.is_initialized():
        yield
        return
    address = address or os.environ.get("RAY_ADDRESS")
    if not address:
        raise BadRequest("the ray executor needs a cluster: give --ray-address or set RAY_ADDRESS")
    _check_reachable(address)
    passed = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
    try:
        with _quiet():
            ray.init(
                address, log_to_driver=False, logging_level="ERROR",
                runtime_env={"env_vars": passed},
            )  # fmt: skip
    except Exception as error:  # Ray has no one kind of error for what can be wrong with a cluster
        reason = str(error).strip().partition("\n")[0]
        raise LotteryBenchError(f"cannot join the Ray cluster at {address}: {reason}") from None
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _quiet() -> Iterator[None]:
    """Drop what is written to standard error: Ray's C++ part does while it waits for a cluster."""
    error = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(error, 2)
        os.close(nowhere)
        os.close(error)


def _check_reachable(address: str) -> None:
    """Raise `LotteryBenchError` if nobody listens at HOST:PORT; Ray itself waits a minute."""
    if address == "auto":
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise BadRequest(f"{address!r} is no address of a Ray cluster; the form is HOST:PORT")
    try:
        socket.create_connection((host.strip("[]"), int(port)), PATIENCE).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise LotteryBenchError(f"no Ray cluster answers at {address} ({reason})") from None


def _device(ray: Any, terms: Terms) -> str:
    """Return the device that the cluster's resources offer."""
    cards = ray.cluster_resources().get("GPU", 0)
    device = terms.device if terms.device != "auto" else ("cuda" if cards else "cpu")
    if device not in ("cpu", "cuda"):
        raise BadRequest(f"on a Ray cluster, --device is auto, cpu or cuda, not {device!r}")
    if device == "cuda" and not cards:
        raise BadRequest("the Ray cluster has no GPU; try --device auto")
    if device == "cpu" and terms.jobs is not None:
        raise BadRequest(
            "on a Ray cluster, --jobs is the number of runs that share a GPU; "
            "on CPUs the cluster decides how many run at a time"
        )
    return device


def _room(ray: Any, share: float) -> int:
    """Return how many tasks the cluster's living nodes can do at a time."""
    there = ray.cluster_resources()
    cpus = int(there.get("CPU", 0))
    return min(cpus, int(there.get("GPU", 0) / share)) if share else cpus
