"""How far a score is on the way from one reference to another, on paired seeds."""

from lotterybench.ranking.base.arrays import Floats

CLEAR = 2.0  # standard errors that the way must have


def normalised_gain(value: Floats, low: Floats, high: Floats) -> float | None:
    """Return (value − low) / (high − low) of means over paired seeds, each (n,).

    None, undefined, for fewer than two seeds and where the mean of high − low is not above 0 or is
    below 2 of its standard errors (protocol §10).
    """
    if len(value) < 2:
        return None
    whole = high - low
    error = float(whole.std(ddof=1)) / len(whole) ** 0.5
    if whole.mean() <= 0 or whole.mean() < CLEAR * error:
        return None
    return float((value - low).mean() / whole.mean())
