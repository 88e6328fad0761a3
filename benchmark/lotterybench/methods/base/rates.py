"""Learning rates over a training that are not the usual warm-up and cosine."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Stepped:
    """A rate that falls by `factor` at milestones, after a linear warm-up.

    `milestones` and `warm_up` are in epochs, of the `epochs` of the whole schedule; so is what a
    shorter training makes of them.
    """

    epochs: int
    milestones: tuple[int, ...]
    factor: float = 0.1
    warm_up: int = 0

    def __call__(self, done: int, steps: int) -> float:
        """Return the rate after `done` of `steps` steps, as a part of its peak."""
        per_epoch = steps / self.epochs
        rise = round(self.warm_up * per_epoch)
        if done < rise:
            return (done + 1) / rise
        return float(self.factor ** sum(done >= at * per_epoch for at in self.milestones))
