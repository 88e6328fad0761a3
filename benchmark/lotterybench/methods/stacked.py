"""Small networks that are trained many at a time: what a track says of one of them."""

from lotterybench.errors import BadRequest
from lotterybench.methods.base.shape import Task, Trained


def train(
    task: Task, *, epochs: int, lr: float, backbone: str, objective: str = "cross-entropy",
    batch: int = 32,
) -> Trained:  # fmt: skip
    """Train a small network on grey images as they are, 16 runs at a time.

    Backbones are `linear`, `mlp`, `deep-mlp`, `conv`, `mixer` and `attention`, objectives
    `cross-entropy`, `one-vs-rest` and `squared`. The rate falls linearly from `lr` to 0 over
    `epochs` times images over `batch` steps; the optimiser is the backbone's own. Tracks whose
    configurations are all of this method are run in stacks; called for one task, this raises
    `BadRequest`.
    """
    raise BadRequest(
        "the method 'stacked' trains many runs as one: it is for tracks all of whose "
        "configurations are of it"
    )
