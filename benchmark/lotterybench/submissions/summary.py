"""What a pull request says of a submission, so that nobody's words become links or mentions."""

import re

from lotterybench.submissions.records import Claim, Submission

# Every sign that Markdown gives a meaning may have a backslash before it (CommonMark 2.4).
SIGNS = re.compile(r"([!-/:-@\[-`{-~])")


def title_of(record: Submission) -> str:
    """Return the title of a submission's pull request: by it, it is found again."""
    return f"Submission: {record.name}"


def description_of(record: Submission, digest: str) -> str:
    """Return a pull request's description in Markdown."""
    asked = record.budget
    size = f"{asked.fraction:g} of the samples" if asked.fraction else f"{asked.classes} classes"
    rows = [
        ("kind", record.kind),
        ("licence", record.licence),
        ("base", record.base),
        ("track", record.track or "every track of the base"),
        ("entry", record.entry),
        ("size", "" if record.kind == "method" else size),
        ("seconds", f"{asked.seconds} at most" if asked.seconds else ""),
        ("reads", ", ".join([*record.reads, *(["training labels"] if record.labels else [])])),
        ("paper", record.paper or ""),
        ("supersedes", record.supersedes or ""),
        ("digest", digest),
    ]
    lines = [f"* {key}: {escaped(value)}" for key, value in rows if value]
    for author in record.authors:
        more = [one for one in (author.affiliation, author.contact) if one]
        lines.append(f"* author: {escaped(', '.join([author.name, *more]))}")
    lines += [f"* claimed, not checked: {escaped(_claim(claim))}" for claim in record.claims]
    quoted = [f"> {escaped(line)}" if line else ">" for line in record.description.split("\n")]
    return "\n".join([*lines, "", *quoted, "", "Written by `lotterybench submit send`."])


def escaped(text: str) -> str:
    """Return text that Markdown shows as it is: no link, no mention, no HTML, no list.

    An `@` becomes an entity, since who is mentioned is looked for before Markdown is read.
    """
    with_backslashes = SIGNS.sub(r"\\\1", " ".join(text.split()))
    return with_backslashes.replace(r"\@", "&#64;")


def _claim(claim: Claim) -> str:
    span = f" ({claim.interval.low:g} to {claim.interval.high:g})" if claim.interval else ""
    where = f"{claim.track}, {claim.subset or 'full data'}"
    return f"{claim.figure} {claim.value:g}{span} on {where}: {claim.how}"
