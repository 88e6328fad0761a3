"""The shape of a method: what it is given, what it returns, and where its noise comes from."""

from lotterybench.methods.base.shape import (
    Epoch,
    Learner,
    Method,
    Schedule,
    Task,
    Trained,
    method,
    stream,
)

__all__ = ["Epoch", "Learner", "Method", "Schedule", "Task", "Trained", "method", "stream"]
