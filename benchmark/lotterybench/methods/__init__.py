"""Training methods to be ranked: the only family that needs torch, imported on first use."""

from lotterybench.methods.base import Learner, Method, Schedule, Task, Trained, method, stream

__all__ = ["Learner", "Method", "Schedule", "Task", "Trained", "method", "stream"]

_HERE = "lotterybench.methods"

method.lazy("supervised", at=f"{_HERE}.supervised:train", objective="supervised", labels=True)
method.lazy("supcon", at=f"{_HERE}.supcon:train", objective="supervised-contrastive", labels=True)
method.lazy("simclr", at=f"{_HERE}.simclr:train", objective="contrastive", labels=False)
method.lazy("dcl", at=f"{_HERE}.dcl:train", objective="contrastive", labels=False)
method.lazy("moco-v1", at=f"{_HERE}.moco:v1", objective="contrastive", labels=False)
method.lazy("moco-v2", at=f"{_HERE}.moco:v2", objective="contrastive", labels=False)
method.lazy("moco-v3", at=f"{_HERE}.moco:v3", objective="contrastive", labels=False)
method.lazy("nnclr", at=f"{_HERE}.nnclr:train", objective="contrastive", labels=False)
method.lazy("byol", at=f"{_HERE}.byol:train", objective="distillation", labels=False)
method.lazy("simsiam", at=f"{_HERE}.simsiam:train", objective="distillation", labels=False)
method.lazy("dino", at=f"{_HERE}.dino:train", objective="distillation", labels=False)
method.lazy("barlow-twins", at=f"{_HERE}.barlow_twins:train", objective="redundancy", labels=False)
method.lazy("vicreg", at=f"{_HERE}.vicreg:train", objective="redundancy", labels=False)
method.lazy("swav", at=f"{_HERE}.swav:train", objective="clustering", labels=False)
method.lazy("mae", at=f"{_HERE}.mae:train", objective="masked", labels=False)
method.lazy("random-init", at=f"{_HERE}.random_init:train", objective="none", labels=False)
