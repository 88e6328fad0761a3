"""What is written down of ticket studies: their plans, and what each of their stages found."""

import json

from lotterybench.errors import BadRecord
from lotterybench.studies.acceleration import AccelerationStudy
from lotterybench.studies.base import Finding, Pruning, Recipe, Study, failures
from lotterybench.studies.pretrained import PretrainedStudy
from lotterybench.studies.tickets import Arm, TicketStudy
from lotterybench.studies.transfer import TransferStudy

__all__ = [
    "AccelerationStudy",
    "Arm",
    "Finding",
    "PretrainedStudy",
    "Pruning",
    "Recipe",
    "Study",
    "TicketStudy",
    "TransferStudy",
    "failures",
    "read_study",
]

KINDS: dict[str, type[Study]] = {
    "acceleration": AccelerationStudy,
    "pretrained": PretrainedStudy,
    "tickets": TicketStudy,
    "transfer": TransferStudy,
}


def read_study(text: str | bytes, where: str) -> Study | None:
    """Parse a study's record by its kind; None for a record of another kind.

    Raises `BadRecord` for text that is no JSON object, or a study that is not valid.
    """
    try:
        kind = json.loads(text)["kind"]
    except (ValueError, KeyError, TypeError):
        raise BadRecord(f"{where} is no track: it does not say of which kind it is") from None
    return KINDS[kind].read(text, where) if kind in KINDS else None
