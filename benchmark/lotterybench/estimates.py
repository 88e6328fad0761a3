"""Figures with their uncertainty; the cost frontier and the decision value made of them."""

from typing import Literal

from lotterybench.records import Record

ProxyKind = Literal["subset", "random", "selected", "control", "low-resolution", "narrower"]
Scheme = Literal["best", "three", "halving"]


class Interval(Record):
    """A bootstrap interval between one-sided 5 % and 95 % bounds, and what was resampled."""

    low: float
    high: float
    resampled: Literal["families", "configurations", "configurations and seeds", "axes"]


class Estimate(Record):
    """A figure and its interval, which is None where there are too few families."""

    value: float
    interval: Interval | None = None


class Point(Record):
    """One way to save, on the cost frontier (protocol §12): what it costs and how well it ranks.

    `cost` is the training compute of one run over that of a run on full data. `tau` is the mean
    τ-b over `proxies`: one subset, or several random ones. `lost` are full-data points lost by
    taking the proxy's winner.
    """

    kind: ProxyKind
    name: str
    cost: float
    proxies: int = 1
    tau: Estimate | None = None
    lost: Estimate | None = None


class Choice(Record):
    """Full-data points lost by choosing among the pool with proxies, at a stated spend (§12).

    `scheme` is to take the proxy's best; to promote its three best to full data; or to halve the
    pool on proxies of growing cost and compare the last on full data. `spend` is all training
    compute, in runs on full data; choosing on full data itself spends `pool`.
    """

    scheme: Scheme
    kind: ProxyKind
    names: list[str]
    spend: float
    pool: int
    lost: Estimate


class Frontier(Record):
    """Cost frontier and decision value of a track: τ and points lost against compute.

    `reaches` is, for each kind of proxy, the smallest cost at which the lower bound of τ reaches
    0.7; a kind that never does is not in it.
    """

    points: list[Point] = []
    choices: list[Choice] = []
    reaches: dict[str, float] = {}
