"""Leaves a daemon: forked twice, in a session of its own, deaf to signals."""

import os
import signal
import time

EXPECTED = "ok"

if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        time.sleep(10**6)
    os._exit(0)
