"""Where runs are carried out: here, on a Ray cluster, or on torchrun's processes."""

from lotterybench.executors.base import Ended, Event, Executor, Limits, Started, Terms, executor

__all__ = ["Ended", "Event", "Executor", "Limits", "Started", "Terms", "executor"]

executor.lazy("local", at="lotterybench.executors.local:carry_out")
executor.lazy("ray", at="lotterybench.executors.ray:carry_out")
executor.lazy("torchrun", at="lotterybench.executors.ranks:carry_out")
