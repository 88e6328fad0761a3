"""Rerun a stranger's code without trusting it, and read what it leaves without trusting that."""

from lotterybench.submissions.sandbox.budget import Budget as Budget
from lotterybench.submissions.sandbox.collecting import ArraySpec as ArraySpec
from lotterybench.submissions.sandbox.collecting import OpaqueSpec as OpaqueSpec
from lotterybench.submissions.sandbox.collecting import TensorsSpec as TensorsSpec
from lotterybench.submissions.sandbox.collecting import collect as collect
from lotterybench.submissions.sandbox.outcome import Outcome as Outcome
from lotterybench.submissions.sandbox.running import run as run
