"""Training methods to be ranked: the only family that needs torch, imported on first use."""

from lotterybench.methods.base import Method, Task, Trained, method, stream

__all__ = ["Method", "Task", "Trained", "method", "stream"]

_HERE = "lotterybench.methods"

method.lazy("supervised", at=f"{_HERE}.supervised:train", objective="supervised", labels=True)
method.lazy("simclr", at=f"{_HERE}.simclr:train", objective="contrastive", labels=False)
method.lazy("random-init", at=f"{_HERE}.random_init:train", objective="none", labels=False)
