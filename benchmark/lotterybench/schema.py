"""How records are written: frozen, as canonical JSON, with digests that new fields leave alone."""

import hashlib
import json
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lotterybench.errors import BadRecord

SLUG = r"[a-z0-9]+(?:[.-][a-z0-9]+)*"
Slug = Annotated[str, Field(pattern=rf"^{SLUG}$", max_length=80)]
SubsetId = Annotated[str, Field(pattern=rf"^{SLUG}/{SLUG}$", max_length=160)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def canonical_json(thing: Any) -> bytes:
    """Serialise to the one JSON text that digests are taken of: sorted keys, no spaces, ASCII."""
    text = json.dumps(thing, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode()


def sha256_of(thing: Any) -> str:
    """Return the sha256, in hex, of a thing's canonical JSON."""
    return hashlib.sha256(canonical_json(thing)).hexdigest()


class Record(BaseModel):
    """A frozen record; unknown fields are refused, and fields at their default leave no trace.

    The second rule keeps digests and run keys alive when a later version adds a field.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def read(cls, text: str | bytes, where: str) -> Self:
        """Parse JSON; raise `BadRecord` with `where` and every fault in one line."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            faults = "; ".join(
                f"{'.'.join(map(str, fault['loc'])) or 'record'}: {fault['msg']}"
                for fault in error.errors()
            )
            line = " ".join(f"{where} is not a valid {cls.__name__.lower()}: {faults}".split())
            raise BadRecord(line) from None

    def fields(self, *, without: frozenset[str] = frozenset()) -> dict[str, Any]:
        """Return the fields that differ from their defaults, as JSON types."""
        found: dict[str, Any] = self.model_dump(
            mode="json", exclude_defaults=True, exclude=set(without)
        )
        return found

    def pretty(self) -> bytes:
        """Return the JSON text that is committed: indented, keys in the order of the class."""
        return (json.dumps(self.fields(), indent=2, ensure_ascii=True) + "\n").encode()

    def line(self) -> str:
        """Return the record as one line of canonical JSON, without a line end."""
        return canonical_json(self.fields()).decode()
