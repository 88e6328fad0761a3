"""What trainings cost, counted before any is run: images, and epochs of equal cost."""

from __future__ import annotations

from lotterybench.kinds.transfer.samples import count_of
from lotterybench.streams import size_of_epoch
from lotterybench.studies.acceleration import AccelerationStudy, Compared, Form, Source

TRAINED = 3  # forward passes that one of training costs: the backward pass is two more


def samples_at(count: int, data: str, budget: float) -> int:
    """Return how many of `count` samples an epoch trains on: all, or the budget's, rounded down."""
    return count if data == "full" else size_of_epoch(count, budget)


def shorter(method: Compared, budget: float) -> int:
    """Return the epochs on full data that are as many steps as all of them on the budget."""
    return max(1, round(budget * method.training.epochs))


def passes_of_prior(study: AccelerationStudy, source: Source) -> int:
    """Return the forward passes of an image that a prior costs (protocol §10).

    That is the pass that makes the targets and, of one that is trained here, its whole training.
    """
    looked = count_of(study.domain)
    if source.training is None or source.domain is None:
        return looked
    training = source.training
    trained = training.epochs * count_of(source.domain) * training.views
    return looked + TRAINED * trained


def equal_cost(study: AccelerationStudy, method: Compared, prior: str) -> int:
    """Return the epochs on full data that cost what a training on the primary budget does.

    The prior is paid for in full, whatever is trained with it afterwards. A study that ranks
    methods trains all of them with it, so that each training pays its share, as for a selection
    (protocol §5).
    """
    count, training = count_of(study.domain), method.training
    of_an_image = TRAINED * training.views
    spent = of_an_image * training.epochs * samples_at(count, "redrawn", study.primary)
    share = 1.0
    if study.asks == "ranking":
        share = 1 / len(study.methods) / (study.seeds if study.prior_seeds == "one" else 1)
    whole = spent + share * passes_of_prior(study, study.prior(prior))
    return max(1, round(whole / (of_an_image * count)))


def lengths(
    study: AccelerationStudy, method: Compared, form: Form, budget: float
) -> dict[int, str | None]:
    """Return for how many epochs an arm is trained, each with the prior whose cost it is of.

    A length that the method is trained for anyway, on full data, is left out.
    """
    whole = method.training.epochs
    if form.length == "whole":
        return {whole: None}
    if form.length == "shorter":
        return {shorter(method, budget): None}
    found: dict[int, str | None] = {}
    for name in method.priors:
        found.setdefault(equal_cost(study, method, name), name)
    return {n: name for n, name in found.items() if n not in (whole, shorter(method, budget))}
