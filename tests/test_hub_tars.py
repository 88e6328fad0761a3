"""Reading tars in memory: what `tarfile` reads, and nothing of what is no shard."""

import io
import tarfile

import pytest

from lotterybench.errors import BadShards
from lotterybench.hub.tars import BLOCK, read_samples
from lotterybench.shards.members import read_tar, write_tar

FILES = {7: b"\x89PNG", 3: b"x" * 512, 12345678: b"y" * 1300, 0: b""}


def members(targets):
    for number, (position, image) in enumerate(FILES.items()):
        yield f"{position:08d}.cls", str(number * 30000 % 65536).encode()
        yield f"{position:08d}.png", image
        if targets:
            yield f"{position:08d}.npy", b"t" * number


@pytest.fixture(params=[False, True], ids=["plain", "targets"])
def tar(request, tmp_path):
    write_tar(tmp_path / "a.tar", members(request.param))
    return tmp_path / "a.tar", request.param


def test_it_reads_what_tarfile_reads(tar):
    file, targets = tar
    theirs = list(read_tar(file, "png", targets))
    found = read_samples(file.read_bytes(), "a.tar", "png", targets=targets)
    assert found.positions.tolist() == [row[0] for row in theirs] == list(FILES)
    assert found.labels.tolist() == [row[1] for row in theirs]
    assert found.images == [row[2] for row in theirs]
    assert found.targets == ([row[3] for row in theirs] if targets else [])


def test_a_cut_anywhere_is_noticed(tar):
    file, targets = tar
    content = file.read_bytes()
    end = len(content.rstrip(b"\0")) // BLOCK * BLOCK
    for cut in range(0, end, BLOCK // 2):
        with pytest.raises(BadShards, match=r"a\.tar"):
            read_samples(content[:cut], "a.tar", "png", targets=targets)


def test_other_members_than_asked_for(tar):
    file, targets = tar
    for image, wants in (("png", not targets), ("jpg", targets)):
        with pytest.raises(BadShards, match=r"a\.tar"):
            read_samples(file.read_bytes(), "a.tar", image, targets=wants)


def strange(name="00000000.cls", content=b"1", **fields):
    """Return a tar whose first member has other fields than a shard's."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path, text in ((name, content), ("00000000.png", b"")):
            info = tarfile.TarInfo(path)
            info.size = len(text)
            for field, value in (fields if path == name else {}).items():
                setattr(info, field, value)
            tar.addfile(info, io.BytesIO(text) if info.isreg() else None)
    return buffer.getvalue()


def with_size(size):
    content = bytearray(strange())
    content[124:136] = size.ljust(12, b"\0")
    return bytes(content)


STRANGE = {
    "link": strange(type=tarfile.SYMTYPE, linkname="/etc/passwd", size=0),
    "hard link": strange(type=tarfile.LNKTYPE, linkname="x", size=0),
    "folder": strange(type=tarfile.DIRTYPE, size=0),
    "pipe": strange(type=tarfile.FIFOTYPE, size=0),
    "a path outside": strange(name="../../x.cls"),
    "a dot more": strange(name="00000000.x.cls"),
    "a short name": strange(name="0.cls"),
    "a label that is none": strange(content=b"-1"),
    "a label of other digits": strange(content="٣".encode()),
    "a long label": strange(content=b"1" * 6),
    "no label": strange(content=b""),
    "a size beyond the end": with_size(b"77777777777"),
    "a binary size": with_size(b"\x80" + b"\xff" * 11),
    "a size that is none": with_size(b"9"),
    "a negative size": with_size(b"-1"),
    "no tar": b"nonsense" * 100,
    "nothing": b"",
}


@pytest.mark.parametrize("name", STRANGE)
def test_what_is_no_shard(name):
    with pytest.raises(BadShards) as caught:
        read_samples(STRANGE[name], "a.tar", "png")
    assert str(caught.value).isprintable() and len(str(caught.value)) < 200


def test_an_empty_tar_has_no_samples():
    assert read_samples(bytes(10240), "a.tar", "png").images == []
