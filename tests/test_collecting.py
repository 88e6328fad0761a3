"""What strangers leave is compared before it is believed: arrays, tensors, links, names, sizes."""

import io
import json
import os
import pickle
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from lotterybench.errors import BadSubmission
from lotterybench.submissions.sandbox import ArraySpec, Budget, OpaqueSpec, TensorsSpec, collect
from lotterybench.submissions.sandbox.delivering import deliver
from lotterybench.submissions.sandbox.output import Tail, printable

POSITIONS = ArraySpec(("int32", "int64"), ((1, 10),), 0, 99)
FEATURES = ArraySpec(("float32", "float16"), (4, 3))
BOTH = TensorsSpec({"weight": FEATURES, "bias": ArraySpec(("float32",), (3,), -1, 1)})


def saved(array, **options):
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def npy(header, body=b"", version=b"\x01\x00"):
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY" + version + len(text).to_bytes(2, "little") + text + body


def tensors(header, body=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def refused(folder, expected):
    """Return the one line with which what lies in a folder is refused."""
    with pytest.raises(BadSubmission) as error:
        collect(folder, expected)
    assert "\n" not in str(error.value)
    assert str(error.value).isprintable()
    return str(error.value)


@pytest.mark.parametrize("dtype", ["int32", "int64", ">i8", "<i4"])
def test_arrays_come_back_as_numpy_saved_them(tmp_path, dtype):
    array = np.array([3, 1, 2]).astype(dtype)
    (tmp_path / "p.npy").write_bytes(saved(array))
    found = collect(tmp_path, {"p.npy": POSITIONS})["p.npy"]
    assert found.tolist() == [3, 1, 2] and found.dtype.isnative and found.flags.owndata


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_every_layout_is_read(tmp_path, order, version):
    array = np.asarray(np.arange(12, dtype=np.float32).reshape(4, 3), order=order)
    with (tmp_path / "f.npy").open("wb") as file:
        np.lib.format.write_array(file, array, version=version)
    assert np.array_equal(collect(tmp_path, {"f.npy": FEATURES})["f.npy"], array)


def test_safetensors_agree_with_their_own_library(tmp_path):
    content = {
        "weight": np.arange(12, dtype=np.float16).reshape(4, 3),
        "bias": np.array([0.5, -1, 1], np.float32),
    }
    (tmp_path / "more").mkdir()
    (tmp_path / "more/t.safetensors").write_bytes(save(content, {"made": "here"}))
    found = collect(tmp_path, {"more/t.safetensors": BOTH})["more/t.safetensors"]
    assert found.keys() == content.keys()
    assert all(np.array_equal(found[name], content[name]) for name in content)


FINE = "{'descr': '<i8', 'fortran_order': False, 'shape': (2,)}"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no .npy file"),
        (b"\x93NUMPY", "no .npy file"),
        (pickle.dumps([1, 2]), "no .npy file"),
        (npy(FINE, bytes(16), b"\x03\x00"), "no .npy file"),
        (npy(FINE, bytes(16), b"\x09\x00"), "no .npy file"),
        (npy("__import__('os').abort()", bytes(16)), "no .npy file"),
        (npy("{" * 100), "no .npy file"),
        (npy(FINE + "("), "no .npy file"),
        (npy(FINE.replace("(2,)", "(" + "1, " * 40 + ")"), bytes(8)), "no .npy file"),
        (npy(FINE, bytes(16)).replace(b"\x76", b"\x75"), "no .npy file"),
        (
            npy("{'descr': '<i8', 'fortran_order': False, 'shape': (-2,)}", bytes(16)),
            "no .npy file",
        ),
        (npy("{'descr': '<i8', 'fortran_order': False, 'shape': (True,)}", bytes(8)), "no .npy"),
        (npy("{'descr': '|O', 'fortran_order': False, 'shape': (2,)}", bytes(16)), "type"),
        (npy("{'descr': [('a', '<i8')], 'fortran_order': False, 'shape': (2,)}"), "no .npy"),
        (npy("{'descr': '<M8[s]', 'fortran_order': False, 'shape': (2,)}", bytes(16)), "type"),
        (npy("{'descr': '<U4', 'fortran_order': False, 'shape': (1,)}", bytes(16)), "type"),
        (npy(f"{{'descr': '<i8', 'fortran_order': False, 'shape': ({2**60},)}}"), "shape"),
        (npy(FINE, bytes(8)), "8 bytes of numbers; its header tells of 16"),
        (npy(FINE, bytes(24)), "24 bytes of numbers; its header tells of 16"),
        (saved(np.zeros((2, 2), np.int64)), "shape 2 × 2; expected 1..10"),
        (saved(np.zeros((), np.int64)), "no axis"),
        (saved(np.zeros(0, np.int64)), "shape 0"),
        (saved(np.arange(11)), "shape 11"),
        (saved(np.zeros(2)), "type float64; expected int32 or int64"),
        (saved(np.array([-1, 4])), "from -1 to 4; expected 0 to 99"),
        (saved(np.array([100])), "from 100 to 100"),
        (saved(np.zeros(10_000, np.int64)), "shape 10000; expected 1..10"),
        (npy(FINE, bytes(80_000)), "bytes; at most 4176"),
    ],
)
def test_bad_arrays_are_refused(tmp_path, content, said):
    (tmp_path / "p.npy").write_bytes(content)
    message = refused(tmp_path, {"p.npy": POSITIONS})
    assert any(part in message for part in said.split("|"))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_are_finite(tmp_path, value):
    array = np.zeros((4, 3), np.float32)
    array[2, 1] = value
    (tmp_path / "f.npy").write_bytes(saved(array))
    assert "not finite" in refused(tmp_path, {"f.npy": FEATURES})


def told(**changes):
    """Return a header of safetensors that is right but for `changes` to `weight`."""
    weight = {"dtype": "F32", "shape": [4, 3], "data_offsets": [0, 48], **changes}
    return {"weight": weight, "bias": {"dtype": "F32", "shape": [3], "data_offsets": [48, 60]}}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        struct.pack("<Q", 2**63) + b"{}",
        tensors(b"{"),
        tensors(b"[]"),
        tensors(b"[" * 3000),
        tensors(b"9" * 4400),
        tensors(b'{"weight": 1, "weight": 2}'),
        tensors({}),
        tensors(told(), bytes(59)),
        tensors(told(), bytes(61)),
        tensors(told(dtype="F64"), bytes(60)),
        tensors(told(dtype="BF16"), bytes(60)),
        tensors(told(dtype=["F32"]), bytes(60)),
        tensors(told(shape=[3, 4]), bytes(60)),
        tensors(told(shape=[4, -3]), bytes(60)),
        tensors(told(shape=[4.0, 3]), bytes(60)),
        tensors(told(shape=[True, 12]), bytes(60)),
        tensors(told(shape="43"), bytes(60)),
        tensors(told(data_offsets=[0, 60]), bytes(60)),
        tensors(told(data_offsets=[12, 60]), bytes(60)),
        tensors(told(data_offsets=[-48, 48]), bytes(60)),
        tensors(told(data_offsets=[0]), bytes(60)),
        tensors({**told(), "third": told()["bias"]}, bytes(60)),
        tensors({"weight": told()["weight"]}, bytes(48)),
        tensors(told(), bytes(48) + struct.pack("<3f", 0, 0, 2)),
        tensors(told(), bytes(48) + struct.pack("<3f", 0, 0, float("nan"))),
    ],
    ids=range(26),
)
def test_bad_tensors_are_refused(tmp_path, content):
    (tmp_path / "t.safetensors").write_bytes(content)
    assert "t.safetensors" in refused(tmp_path, {"t.safetensors": BOTH})


def test_the_right_header_is_taken(tmp_path):
    (tmp_path / "t.safetensors").write_bytes(tensors(told(), bytes(60)))
    assert collect(tmp_path, {"t.safetensors": BOTH})["t.safetensors"]["bias"].tolist() == [0] * 3


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_change_of_a_byte_raises_anything_else(tmp_path_factory, data):
    name, spec, right = data.draw(
        st.sampled_from(
            [
                ("p.npy", POSITIONS, saved(np.arange(5))),
                ("t.safetensors", BOTH, tensors(told(), bytes(60))),
            ]
        )
    )
    content = bytearray(right)
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    folder = tmp_path_factory.mktemp("changed")
    (folder / name).write_bytes(content)
    try:
        found = collect(folder, {name: spec})[name]
    except BadSubmission as error:
        assert str(error).isprintable()
    else:
        arrays = found.values() if isinstance(found, dict) else [found]
        assert all(np.isfinite(array).all() for array in arrays)


def test_links_are_not_followed(tmp_path):
    outside, folder = tmp_path / "outside", tmp_path / "left"
    outside.mkdir()
    folder.mkdir()
    (outside / "p.npy").write_bytes(saved(np.arange(5)))
    assert collect(outside, {"p.npy": POSITIONS})
    (folder / "p.npy").symlink_to(outside / "p.npy")
    assert "p.npy is a symbolic link" in refused(folder, {"p.npy": POSITIONS})
    (folder / "p.npy").unlink()
    (folder / "p.npy").hardlink_to(outside / "p.npy")
    assert "2 names" in refused(folder, {"p.npy": POSITIONS})
    (folder / "p.npy").unlink()
    (folder / "more").symlink_to(outside)
    assert "more" in refused(folder, {"more/p.npy": POSITIONS})


@pytest.mark.parametrize("size", [1, 10])
def test_an_opaque_file_stays_where_it_is(tmp_path, size):
    """Whatever it holds: here what would run code if it were read."""
    content = pickle.dumps(print)[:size].ljust(size)
    (tmp_path / "encoder.pt").write_bytes(content)
    (tmp_path / "p.npy").write_bytes(saved(np.arange(5)))
    found = collect(tmp_path, {"encoder.pt": OpaqueSpec(10), "p.npy": POSITIONS})
    assert list(found) == ["p.npy"] and (tmp_path / "encoder.pt").read_bytes() == content


@pytest.mark.parametrize(
    ("content", "said"), [(b"x" * 11, "has 11 bytes; at most 10"), (b"", "encoder.pt is empty")]
)
def test_an_opaque_file_has_its_size(tmp_path, content, said):
    (tmp_path / "encoder.pt").write_bytes(content)
    assert said in refused(tmp_path, {"encoder.pt": OpaqueSpec(10)})


def test_an_opaque_file_is_a_plain_one(tmp_path):
    expected = {"encoder.pt": OpaqueSpec(10)}
    assert "encoder.pt is missing" in refused(tmp_path, expected)
    (tmp_path / "encoder.pt").symlink_to("/etc/hostname")
    assert "encoder.pt is a symbolic link" in refused(tmp_path, expected)
    (tmp_path / "encoder.pt").unlink()
    os.mkfifo(tmp_path / "encoder.pt")
    assert "encoder.pt is a pipe" in refused(tmp_path, expected)


def test_pipes_do_not_hang(tmp_path):
    os.mkfifo(tmp_path / "p.npy")
    assert "p.npy is a pipe" in refused(tmp_path, {"p.npy": POSITIONS})


def test_nothing_is_missing_and_nothing_more(tmp_path):
    assert "p.npy is missing" in refused(tmp_path, {"p.npy": POSITIONS})
    (tmp_path / "p.npy").write_bytes(saved(np.arange(5)))
    (tmp_path / "\x1b[2J\n").touch()
    assert "only p.npy may be there" in refused(tmp_path, {"p.npy": POSITIONS})


def test_delivery_is_all_or_nothing(tmp_path):
    left, writes = tmp_path / "left", tmp_path / "out"
    (left / "deep").mkdir(parents=True)
    (left / "deep/a.npy").write_bytes(b"abc")
    (left / "b").write_bytes(b"")
    handle = os.open(left, os.O_RDONLY)
    try:
        assert deliver(handle, writes, Budget()) == ["b", "deep/a.npy"]
        assert (writes / "deep/a.npy").read_bytes() == b"abc"
        (left / "z").symlink_to("b")
        with pytest.raises(BadSubmission, match="z is a symbolic link"):
            deliver(handle, tmp_path / "again", Budget())
        assert not (tmp_path / "again").exists()
    finally:
        os.close(handle)


@given(st.binary(max_size=300), st.integers(0, 40))
def test_logs_are_small_and_printable(content, size):
    tail = Tail(size)
    for start in range(0, len(content), 7):
        tail.add(content[start : start + 7])
    text = tail.text()
    assert len(text.encode()) <= size
    assert all(each.isprintable() or each in "\n\t" or each.isspace() for each in text)
    assert "\x1b" not in text


def test_plain_text_is_not_touched():
    assert printable("loss 0.5 – τ = 0.9\tok\nÄ 中 🙂") == "loss 0.5 – τ = 0.9\tok\nÄ 中 🙂"
    tail = Tail(5)
    tail.add(b"0123456789")
    assert tail.text() == "56789"
