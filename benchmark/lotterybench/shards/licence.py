"""What a folder says of rights and credit: the base's licence, and whom to cite."""

from typing import NamedTuple

from lotterybench.records import Base

OURS = (
    "The lotterybench developers. lotterybench: subsets that rank methods as the whole dataset "
    "does. Software, Apache-2.0."
)
TERMS = {"ImageNet terms of access": ("imagenet", "https://image-net.org/download.php")}


class Licence(NamedTuple):
    """A licence in the words of a card: the Hub's `license`, else `other` with name and link."""

    id: str
    name: str | None
    url: str | None


def about(base: Base) -> Licence:
    """Return how to name the licence of a base's images."""
    if base.licence.startswith("CC-"):
        words = base.licence.lower().split("-")  # as in cc-by-nc-4.0
        return Licence(
            base.licence.lower(),
            None,
            f"https://creativecommons.org/licenses/{'-'.join(words[1:-1])}/{words[-1]}/",
        )
    name, url = TERMS.get(base.licence, (_slug(base.licence), None))
    return Licence("other", name, url)


def cited(base: Base) -> str:
    """Return whom to cite: the base, then this project."""
    return " ".join(part for part in (base.citation, OURS) if part)


def _slug(text: str) -> str:
    """Return a licence's name as the Hub writes such names."""
    return "-".join("".join(c if c.isalnum() else " " for c in text.lower()).split())
