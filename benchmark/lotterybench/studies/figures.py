"""Figures over replicates, as reports of studies print them."""

from math import floor, log10

from lotterybench.records import Record


class Figure(Record):
    """A mean over `n` replicates: their sd, and the two-sided 95 % t interval of the mean.

    Undefined are, with fewer than two replicates, `sd` and both bounds. As text it is the mean and
    half of the interval.
    """

    value: float
    n: int
    sd: float | None = None
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.value:.4g}"
        half = (self.high - self.low) / 2
        digits = max(0, 1 - floor(log10(half))) if half else 2  # two that mean something
        return f"{self.value:.{digits}f} ±{half:.{digits}f}"


class Gap(Record):
    """A difference of two means: two-sided 95 % bounds, and the one-sided 95 % `lower` bound."""

    value: float
    low: float | None = None
    high: float | None = None
    lower: float | None = None
