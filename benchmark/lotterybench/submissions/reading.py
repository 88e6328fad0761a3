"""Reading `submission.toml` as a stranger wrote it: every fault as a line, nothing repeated raw."""

import tomllib

from pydantic import ValidationError

from lotterybench.submissions import words
from lotterybench.submissions.records import RECORD, Submission

LARGEST = 32 * 2**10  # bytes of a record
DOTS = 200  # on a line: reading a key takes time that grows with the square of its parts
TOLD = 50  # faults that are listed
# What a field looks like, where the pattern alone would say little.
FORMS = {
    "name": "it is lower-case letters and digits, with single dots or hyphens between them",
    "supersedes": "it is the name of an earlier submission",
    "base": "it is the id of a base, as digits",
    "track": "it is the name of a track, as digits-selfsup",
    "entry": "it is file.py:function of a selector or a method, manifest.json of a subset",
    "contact": "it is an e-mail address or the address of a page, https://…",
    "paper": "it is a DOI, as 10.1000/182, or the address of a page, https://…",
    "subset": "it is base/name@version",
    "signals": "it is the sha256 of a recorded set, in hexadecimal digits",
    "settings": "a setting is yes or no, a number, a line of text, or a list of up to 64 numbers",
}


def read_record(text: bytes) -> tuple[Submission | None, list[str]]:
    """Parse `submission.toml`; return the record, or None and every fault as a line."""
    if len(text) > LARGEST:
        return None, [f"{RECORD} has {len(text)} bytes; at most {LARGEST} are read"]
    try:
        found = text.decode()
        if any(line.count(".") > DOTS for line in found.split("\n")):
            return None, [f"{RECORD} has a line with more than {DOTS} dots"]
        fields = tomllib.loads(found)
    except UnicodeDecodeError:
        return None, [f"{RECORD} is not UTF-8 text"]
    except RecursionError:
        return None, [f"{RECORD} is nested too deeply"]
    except ValueError as error:  # the parser's own, and Python's for a number of 5,000 digits
        return None, [f"{RECORD} is no TOML: {words.shown(error, 120)}"]
    try:
        return Submission.model_validate(fields), []
    except ValidationError as error:
        return None, _faults(error)
    except RecursionError:
        return None, [f"{RECORD} is nested too deeply"]


def _faults(error: ValidationError) -> list[str]:
    found = []
    for fault in error.errors(include_url=False, include_input=False, include_context=False):
        where = fault["loc"][:2] if fault["loc"][:1] == ("settings",) else fault["loc"]
        place = ".".join(_place(part) for part in where)
        message = fault["msg"].removeprefix("Value error, ")
        field = next((part for part in reversed(where) if isinstance(part, str)), "")
        if where != fault["loc"]:
            message = FORMS["settings"]
        elif fault["type"] == "string_pattern_mismatch":
            message = FORMS.get(field, message)
        found.append(f"{RECORD}: {f'{place}: ' if place else ''}{' '.join(message.split())}")
    found = list(dict.fromkeys(found))
    more = [f"{RECORD} has {len(found) - TOLD} more faults"] if len(found) > TOLD else []
    return found[:TOLD] + more


def _place(part: str | int) -> str:
    """Return a step to a fault; the names of fields that we do not know are a stranger's."""
    text = str(part)
    plain = text.isascii() and (text.isidentifier() or text.isdigit()) and len(text) <= 40
    return text if plain else words.shown(text, 40)
