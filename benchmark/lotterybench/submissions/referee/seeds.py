"""Where a round's random numbers come from: a secret that nobody knows before the round ends.

Who knows only the files of a submission can guess no seed of its rerun, a restart repeats them
all, and when the round ends the secret is shown, so that anybody can.
"""

import hashlib
import os
import secrets
import stat
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lotterybench.errors import BadRecord
from lotterybench.storage import space_for, write_whole
from lotterybench.submissions.referee.records import Round
from lotterybench.submissions.referee.workplace import Workplace

SIZE = 32  # bytes of a secret
OTHERS = stat.S_IRWXG | stat.S_IRWXO


def open_round(workplace: Workplace) -> tuple[bytes, Round]:
    """Return the secret and the record of a round; both are made where there are none.

    Raises `BadRecord` for a secret that others can read, and for one that is not the secret that
    the round's record commits to.
    """
    there = workplace.round.is_file()
    if there and not workplace.secret.is_file():
        raise BadRecord(
            f"{workplace.round.name} commits to a secret, and there is none beside it: restore "
            "it, or give another --out for a new round"
        )
    secret = _secret(workplace.secret)
    if not there:
        begun = Round(schema_version=1, commitment=commitment(secret))
        write_whole(workplace.round, begun.pretty())
    found = Round.read(workplace.round.read_bytes(), workplace.round.name)
    if found.commitment != commitment(secret):
        raise BadRecord(
            f"the secret is not the one that {workplace.round.name} commits to: restore it, or "
            "give another --out for a new round"
        )
    return secret, found


def commitment(secret: bytes) -> str:
    """Return the sha256 of a secret, which is published before the round begins."""
    return hashlib.sha256(secret).hexdigest()


def seed(secret: bytes, digest: str, purpose: str, number: int = 0) -> int:
    """Return a seed of 32 bits for a submission's digest: streams differ by purpose and number."""
    return int.from_bytes(_stream(secret, digest, purpose, number)[:4], "big")


def permutation(secret: bytes, digest: str, purpose: str, count: int) -> NDArray[np.int64]:
    """Return an order of `count` samples, int64 (count,), drawn from 256 bits of the stream.

    From 32 bits a submission could try all orders until the labels it is given lie as they do.
    """
    words = np.frombuffer(_stream(secret, digest, purpose, 0), ">u4").astype(np.uint32)
    return np.random.default_rng(words).permutation(count).astype(np.int64)


def _stream(secret: bytes, digest: str, purpose: str, number: int) -> bytes:
    text = f"{secret.hex()}|{digest}|{purpose}|{number}"
    return hashlib.sha256(text.encode()).digest()


def _secret(file: Path) -> bytes:
    """Return the secret in a file, which only its owner may read; one is drawn if there is none."""
    if not file.is_file():
        _draw(file)
    if file.stat().st_mode & OTHERS:
        raise BadRecord(f"{file.name} is readable for others: seeds could be guessed; chmod 600 it")
    try:
        found = bytes.fromhex(file.read_text().strip())
    except ValueError:
        found = b""
    if len(found) != SIZE:
        raise BadRecord(f"{file.name} holds no secret of {SIZE} bytes in hexadecimal digits")
    return found


def _draw(file: Path) -> None:
    """Write a new secret; it appears whole, and never takes the place of another."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with space_for(file):
        handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)  # mode 0600
        try:
            with os.fdopen(handle, "w") as draft:
                draft.write(f"{secrets.token_hex(SIZE)}\n")
                draft.flush()
                os.fsync(handle)
            os.link(name, file)
        except FileExistsError:  # another referee was faster: its secret counts
            pass
        finally:
            Path(name).unlink(missing_ok=True)
