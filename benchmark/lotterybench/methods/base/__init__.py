"""The shape of a method: what it is given, what it returns, and where its noise comes from."""

from lotterybench.methods.base.shape import Method, Task, Trained, method, stream

__all__ = ["Method", "Task", "Trained", "method", "stream"]
