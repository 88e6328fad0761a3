"""Training methods to be ranked: the only family that needs torch, imported on first use."""

from lotterybench.methods.base import Learner, Method, Schedule, Task, Trained, method, stream

__all__ = ["Learner", "Method", "Schedule", "Task", "Trained", "method", "stream"]

_HERE = "lotterybench.methods"
_SWEPT = {  # peak rates with batches of 128; see docs/methods.md
    "supervised": ("sgd", 0.12),
    "supcon": ("sgd", 0.12),
    "simclr": ("sgd", 0.03),
    "dcl": ("sgd", 0.03),
    "moco-v1": ("sgd", 0.48),
    "moco-v2": ("sgd", 0.12),
    "moco-v3": ("sgd", 0.03),
    "nnclr": ("sgd", 0.48),
    "byol": ("sgd", 0.48),
    "simsiam": ("sgd", 0.48),
    "dino": ("sgd", 0.12),
    "barlow-twins": ("sgd", 0.12),
    "vicreg": ("sgd", 0.03),
    "swav": ("sgd", 0.48),
    "mae": ("adamw", 0.002),
}


def _declare(name: str, at: str, objective: str, labels: bool = False) -> None:
    rates = dict([_SWEPT[name]]) if name in _SWEPT else {}
    method.lazy(name, at=f"{_HERE}.{at}", objective=objective, labels=labels, rates=rates)


_declare("supervised", "supervised:train", "supervised", labels=True)
_declare("supcon", "supcon:train", "supervised-contrastive", labels=True)
_declare("simclr", "simclr:train", "contrastive")
_declare("dcl", "dcl:train", "contrastive")
_declare("moco-v1", "moco:v1", "momentum-contrast")
_declare("moco-v2", "moco:v2", "momentum-contrast")
_declare("moco-v3", "moco:v3", "momentum-contrast")
_declare("nnclr", "nnclr:train", "contrastive")
_declare("byol", "byol:train", "distillation")
_declare("simsiam", "simsiam:train", "distillation")
_declare("dino", "dino:train", "distillation")
_declare("barlow-twins", "barlow_twins:train", "redundancy")
_declare("vicreg", "vicreg:train", "redundancy")
_declare("swav", "swav:train", "clustering")
_declare("mae", "mae:train", "masked")
_declare("random-init", "random_init:train", "none")
_declare("stacked", "stacked:train", "supervised", labels=True)
