"""A light child for `Worker`: it speaks the protocol of a real one and dies on request."""

import ctypes
import os
import signal
import time
from pathlib import Path

from lotterybench.errors import BadData
from lotterybench.kinds import Attempt, Done, record


def kill(_):
    os.kill(os.getpid(), signal.SIGKILL)


def kill_once(mark):
    if not Path(mark).exists():
        Path(mark).touch()
        kill(mark)


def allocate(_):
    held = bytearray(700 * 2**20)
    time.sleep(60)
    del held


def start_a_child_that_allocates(_):
    if os.fork() == 0:
        allocate(_)
        os._exit(0)
    time.sleep(60)


DEEDS = {
    "fine": lambda _: None,
    "segfault": lambda _: ctypes.string_at(0),
    "abort": lambda _: os.abort(),
    "exit": lambda _: os._exit(3),
    "sleep": lambda _: time.sleep(60),
    "allocate": allocate,
    "child-allocates": start_a_child_that_allocates,
    "kill": kill,
    "kill-once": kill_once,
    "terminate": lambda _: os.kill(os.getpid(), signal.SIGTERM),
}


def serve(pipe, device, conduct, share):
    """Do what each run's configuration is called."""
    pipe.send("toy: hardware")
    while True:
        try:
            run = pipe.recv()
        except EOFError:
            return
        name = run.configuration.name
        if name == "bad-data":
            pipe.send(BadData("a base is broken"))
            continue
        DEEDS[name](run.configuration.config.get("mark"))
        pipe.send(Done(record(run, Attempt("ok"), "toy: hardware"), 0.0))


def refuse(pipe, device, conduct, share):
    """End before any run, as a child does that cannot be imported."""
    os._exit(1)
