"""Iterative magnitude pruning: train, prune a fifth of what is left, rewind, train again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from lotterybench.errors import BadRequest
from lotterybench.pruning.criteria import magnitude
from lotterybench.pruning.functional import State
from lotterybench.pruning.keeping import keep, keep_in_each
from lotterybench.pruning.masks import Masks

SHARE = 0.2  # of what is left, pruned in each round (Frankle and Carbin 2019)


@dataclass(frozen=True)
class Point:
    """A moment of a training: after so many steps or whole epochs; 0 is before the first."""

    after: int = 0
    unit: Literal["steps", "epochs"] = "steps"

    def __post_init__(self) -> None:
        if self.after < 0:
            raise BadRequest(
                f"a rewinding point after {self.after} {self.unit} lies in no training"
            )

    def steps(self, per_epoch: int) -> int:
        """Return the steps done by then, where an epoch has `per_epoch`."""
        return self.after * per_epoch if self.unit == "epochs" else self.after


BEGINNING = Point()


@dataclass(frozen=True)
class Plan:
    """How a network is pruned in rounds.

    After each round, `weights` go back to what they were at `point` (late rewinding; Frankle et
    al. 2020), or else stay as trained; the learning rate's schedule goes back to `point` if
    `rate`, or else to its beginning. So `weights=False` is learning-rate rewinding (Renda et al.
    2020), and `rate=False` with a late point is what the public code of PrAC does. `in_each`
    prunes every tensor alike, in place of all together.
    """

    rounds: int
    share: float = SHARE
    point: Point = BEGINNING
    weights: bool = True
    rate: bool = True
    in_each: bool = False

    def __post_init__(self) -> None:
        if self.rounds < 0 or not 0 < self.share < 1:
            raise BadRequest(
                f"{self.rounds} rounds that prune {self.share:g} of what is left; take 0 rounds "
                "or more, and a share between 0 and 1"
            )

    def density(self, level: int) -> float:
        """Return the part of all weights that is left after so many rounds: (1 − share)^level."""
        return float((1 - self.share) ** level)


class Trained(NamedTuple):
    """What a training leaves: its state at the end, and at the point where it was asked for."""

    final: State
    point: State | None


class Train(Protocol):
    """Train a network from a state whose pruned weights are 0, and keep them there.

    The schedule begins at `begin`, with a new optimiser. A state has every parameter and buffer,
    with the masked tensors under the masks' names. `capture` asks for the state at that point.
    """

    def __call__(
        self, start: State, masks: Masks, *, begin: Point, capture: Point | None
    ) -> Trained: ...


class Level(NamedTuple):
    """One level: its number, masks, the dense state at the rewinding point, the trained state."""

    number: int
    masks: Masks
    point: State
    final: State


def prune_in_rounds(
    plan: Plan, initial: State, dense: Masks, train: Train, *, after: Level | None = None
) -> Iterator[Level]:
    """Yield levels 0 (dense) to `plan.rounds`, each trained, of exactly counted densities.

    Level k keeps round((1 − share)^k · total) weights, chosen by magnitude among those that level
    k − 1 kept and trained. Everything is rewound with the weights: biases, norms and what they
    remember. `after` goes on from a level that was saved; those up to it are not yielded. Raises
    `BadRequest` where the states lack a masked tensor or `train` leaves out the point.
    """
    dense.check(initial)
    level = after
    if level is not None:
        level.masks.check(dense.kept)
    else:
        level = _first(plan, initial, dense, train)
        yield level
    for number in range(level.number + 1, plan.rounds + 1):
        masks = _pruned(plan, level, number)
        start = masked(level.point if plan.weights else level.final, masks)
        begin = plan.point if plan.rate else BEGINNING
        final = train(start, masks, begin=begin, capture=None).final
        level = Level(number, masks, level.point, final)
        yield level


def masked(state: State, masks: Masks) -> State:
    """Return a copy of a state in which pruned weights are 0."""
    copy = {name: value.clone() for name, value in state.items()}
    masks.apply(copy)
    return copy


def _first(plan: Plan, initial: State, dense: Masks, train: Train) -> Level:
    late = plan.point.after > 0
    start = masked(initial, dense)
    found = train(start, dense, begin=BEGINNING, capture=plan.point if late else None)
    point = found.point if late else masked(initial, dense)
    if point is None:
        raise BadRequest(
            f"the training ended without a state after {plan.point.after} {plan.point.unit}"
        )
    return Level(0, dense, point, found.final)


def _pruned(plan: Plan, level: Level, number: int) -> Masks:
    level.masks.check(level.final)
    scores = magnitude({name: level.final[name] for name in level.masks.kept})
    choose = keep_in_each if plan.in_each else keep
    return choose(scores, plan.density(number), within=level.masks)
