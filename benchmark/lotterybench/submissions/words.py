"""Text that strangers wrote: what it may hold, and how it is shown in a line of ours."""

import re
import unicodedata

SHOWN = 60  # characters of a stranger's text that a message repeats
IN_NAMES = set(" .,'’-–·()&/")  # beside letters, their marks and digits
# Scripts that one word mixes by custom; of all others a word has one.
TOGETHER = {"CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO"}


def shown(text: object, most: int = SHOWN) -> str:
    """Return a stranger's text for a message: quoted, printable ASCII, at most `most` characters.

    ASCII, so that letters that look like others are seen for what they are.
    """
    found = ascii(str(text)[: most + 1])
    return found if len(found) <= most + 2 else f"{found[:most]}…'"


def plain_line(text: str) -> str:
    """Return a line of text; raise `ValueError` for what is invisible or has a look-alike form."""
    if text != text.strip() or not text.isprintable():
        raise ValueError("it is one line without control characters and spaces around it")
    return _normal(text)


def plain_text(text: str) -> str:
    """Return text of several lines; raise `ValueError` for invisible characters but line ends."""
    if not all(line.isprintable() for line in text.split("\n")):
        raise ValueError("it is plain text: lines without tabs, control or invisible characters")
    return text


def name(text: str) -> str:
    """Return a name of people or places; raise `ValueError` for signs that names do not have.

    Each word is of one script, so that no Cyrillic letter passes for a Latin one.
    """
    plain_line(text)
    strange = [sign for sign in text if sign not in IN_NAMES and not _letter(sign)]
    if strange:
        raise ValueError(f"{shown(strange[0])} occurs in it; a name has letters, digits and .,'-")
    for word in re.split(r"[^\w]+", text):
        scripts = {_script(sign) for sign in word if sign.isalpha()} - {"MODIFIER"}
        if len(scripts) > 1 and not scripts <= TOGETHER:
            mixed = " and ".join(script.title() for script in sorted(scripts))
            raise ValueError(f"the word {shown(word)} mixes {mixed} letters")
    return text


def _normal(text: str) -> str:
    if unicodedata.normalize("NFKC", text) != text:
        raise ValueError("it has compatibility characters; write it in Unicode's NFKC form")
    return text


def _letter(sign: str) -> bool:
    return unicodedata.category(sign)[0] in "LM" or sign.isdecimal()


def _script(letter: str) -> str:
    return unicodedata.name(letter, "UNNAMED").split()[0].partition("-")[0]
