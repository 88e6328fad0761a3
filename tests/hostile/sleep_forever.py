"""Sleeps for ever."""

import time

EXPECTED = "timeout"
SAYS = "longer"
BUDGET = {"wall_seconds": 0.3}

time.sleep(10**6)
