"""Reading arrays that a stranger wrote: nothing is believed before it was compared.

A folder must hold exactly the files that are expected: `.npy` and `.safetensors`, no pickle, no
links. Type and shape are taken from the header, compared with what is expected and with the size
of the file, and only then is memory allocated. An opaque file, which one sandbox leaves for the
next, is not read at all.
"""

import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lotterybench.errors import BadSubmission
from lotterybench.submissions.sandbox.delivering import opened
from lotterybench.submissions.sandbox.output import one_line

Array = NDArray[Any]
HEADER = 4096  # bytes that the header of an array, or of a tensor in the mean, may have
# A .npy header of version 1.0 or 2.0 (numpy/lib/format.py), of one type: a Python literal that
# numpy's own reader evaluates; what numpy.save writes can be matched instead.
NPY = re.compile(
    rb"\x93NUMPY(?:\x01\x00(?P<one>..)|\x02\x00(?P<two>....))"
    rb"(?P<text>\{'descr': '(?P<kind>[^']{1,20})', 'fortran_order': (?P<fortran>True|False), "
    rb"'shape': \((?P<shape>(?:\d{1,19}, ?){0,32}(?:\d{1,19})?)\),? ?\} *\n)",
    re.DOTALL,
)
PLAIN = re.compile(r"[<>|=]?[biuf][1248]")
SAFETENSORS = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "I16": "int16", "U16": "uint16", "I32": "int32",
    "U32": "uint32", "I64": "int64", "U64": "uint64", "F16": "float16", "F32": "float32",
    "F64": "float64",
}  # fmt: skip


class ArraySpec(NamedTuple):
    """What an array must be: types by name, the length of each axis (or least and most), a range.

    Every number must be finite and lie in low..high, both included; None is no bound.
    """

    dtypes: tuple[str, ...]
    shape: tuple[int | tuple[int, int], ...]
    low: float | None = None
    high: float | None = None


class TensorsSpec(NamedTuple):
    """The tensors that a `.safetensors` file must hold, by name: these and no others."""

    tensors: Mapping[str, ArraySpec]


class OpaqueSpec(NamedTuple):
    """A file for another sandbox alone: a plain one, not empty, of at most so many bytes."""

    most_bytes: int


Spec = ArraySpec | TensorsSpec | OpaqueSpec


class Head(NamedTuple):
    """What a file says of an array: its type, its shape, and where its bytes lie."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int


def collect(folder: Path, expected: Mapping[str, Spec]) -> dict[str, Array | dict[str, Array]]:
    """Read the expected files, by path in `folder`: arrays, and dicts of arrays of safetensors.

    Opaque files are held to their size and stay where they are: they are not in what is returned.
    Raises `BadSubmission`, in one line, for anything that is missing, too much, no plain file or
    not as expected.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        _refuse_others(handle, (), expected)
        found: dict[str, Array | dict[str, Array]] = {}
        for name, spec in expected.items():
            most = _most(spec)
            with opened(handle, tuple(name.split("/")), name) as (file, size):
                if size > most:
                    if isinstance(spec, ArraySpec):
                        _head(file.read(HEADER), spec, name)  # a wrong shape tells more than a size
                    raise BadSubmission(f"{name} has {size} bytes; at most {most} are expected")
                if isinstance(spec, OpaqueSpec):
                    if size == 0:
                        raise BadSubmission(f"{name} is empty")
                    continue
                content = file.read(size)
            if isinstance(spec, TensorsSpec):
                found[name] = _tensors(content, spec, name)
            else:
                found[name] = _array(content, spec, name)
        return found
    finally:
        os.close(handle)


def _refuse_others(folder: int, above: tuple[str, ...], expected: Mapping[str, object]) -> None:
    """Raise for the first entry that is neither an expected file nor a folder on its way."""
    with os.scandir(folder) as entries:
        for entry in entries:
            path = "/".join((*above, entry.name))
            if path in expected:
                continue
            leads = any(name.startswith(f"{path}/") for name in expected)
            if not leads or not entry.is_dir(follow_symlinks=False):
                raise BadSubmission(
                    f"{one_line(path)!a} is not expected; only {', '.join(expected)} may be there"
                )
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
            inner = os.open(entry.name, flags, dir_fd=folder)
            try:
                _refuse_others(inner, (*above, entry.name), expected)
            finally:
                os.close(inner)


def _most(spec: Spec) -> int:
    """Return the bytes that a file of what is expected has at most."""
    if isinstance(spec, OpaqueSpec):
        return spec.most_bytes
    if isinstance(spec, TensorsSpec):
        return HEADER + sum(map(_most, spec.tensors.values()))
    items = math.prod(axis if isinstance(axis, int) else axis[1] for axis in spec.shape)
    return HEADER + items * max(np.dtype(each).itemsize for each in spec.dtypes)


def _array(content: bytes, spec: ArraySpec, name: str) -> Array:
    """Return the array of a `.npy` file's bytes."""
    head, fortran = _head(content, spec, name)
    _fits(head, len(content) - head.start, name)
    flat = np.frombuffer(content, head.dtype, offset=head.start)
    array = flat.reshape(head.shape[::-1]).T if fortran else flat.reshape(head.shape)
    return _bounded(array, spec, name)


def _head(content: bytes, spec: ArraySpec, name: str) -> tuple[Head, bool]:
    """Return what a `.npy` file's first bytes say, and whether columns come first."""
    told = NPY.match(content)
    if told is None:
        raise BadSubmission(f"{name} is no .npy file as numpy.save writes it; save it so")
    length, start = told["one"] or told["two"], told.start("text")
    if start + int.from_bytes(length, "little") != told.end() or told.end() > HEADER:
        raise BadSubmission(f"{name} is no .npy file as numpy.save writes it: its header is long")
    kind = told["kind"].decode("ascii", "replace")
    if not PLAIN.fullmatch(kind):
        raise _type_refused(kind, spec, name)
    shape = tuple(int(each) for each in told["shape"].replace(b" ", b"").split(b",") if each)
    head = Head(np.dtype(kind), shape, told.end())
    _compare(head, spec, name)
    return head, told["fortran"] == b"True"


def _tensors(content: bytes, spec: TensorsSpec, name: str) -> dict[str, Array]:
    """Return the tensors of a `.safetensors` file's bytes."""
    heads, ends = _heads(content, name)
    if heads.keys() != spec.tensors.keys():
        odd = sorted(heads.keys() ^ spec.tensors.keys())[0]
        raise BadSubmission(
            f"{name} holds other tensors than {', '.join(spec.tensors)}: see {one_line(odd)!a}"
        )
    found: dict[str, Array] = {}
    for each, expected in spec.tensors.items():
        head, called = heads[each], f"{name}: {each}"
        _compare(head, expected, called)
        _fits(head, ends[each] - head.start, called)
        flat = np.frombuffer(content, head.dtype, math.prod(head.shape), head.start)
        found[each] = _bounded(flat.reshape(head.shape), expected, called)
    return found


def _heads(content: bytes, name: str) -> tuple[dict[str, Head], dict[str, int]]:
    """Return what a `.safetensors` header says of each tensor, and where each one ends.

    As the format demands, tensors follow one another without gaps up to the end of the file.
    """
    length = int.from_bytes(content[:8], "little")
    begin = 8 + length
    try:
        if begin > len(content):
            raise ValueError("its header is cut short")
        told = json.loads(content[8:begin], object_pairs_hook=_once)
        told.pop("__metadata__", None)
        heads, ends = {}, {}
        for key, about in told.items():
            dtype = np.dtype(SAFETENSORS[about["dtype"]]).newbyteorder("<")
            first, last = about["data_offsets"]
            shape = about["shape"]
            if not all(type(each) is int and each >= 0 for each in (first, last, *shape)):
                raise ValueError("a shape or an offset is no count")
            heads[key] = Head(dtype, tuple(shape), begin + first)
            ends[key] = begin + last
        reached = begin
        for key in sorted(heads, key=lambda each: (heads[each].start, ends[each])):
            if heads[key].start != reached or ends[key] < reached:
                raise ValueError("its tensors overlap or leave gaps")
            reached = ends[key]
        if reached != len(content):
            raise ValueError("its tensors do not end where the file does")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadSubmission(f"{name} is no .safetensors file ({one_line(str(error))})") from None
    return heads, ends


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; refuse one that says two things under one name."""
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a name is given twice")
    return dict(pairs)


def _compare(head: Head, spec: ArraySpec, name: str) -> None:
    """Raise if type or shape, as the header tells them, are not as expected."""
    if head.dtype.kind not in "biuf" or head.dtype.newbyteorder("=").name not in spec.dtypes:
        raise _type_refused(str(head.dtype), spec, name)
    right = len(head.shape) == len(spec.shape) and all(
        (one == axis) if isinstance(axis, int) else axis[0] <= one <= axis[1]
        for one, axis in zip(head.shape, spec.shape, strict=True)
    )
    if not right:
        wanted = " × ".join(
            str(axis) if isinstance(axis, int) else f"{axis[0]}..{axis[1]}" for axis in spec.shape
        )
        told = " × ".join(map(str, head.shape[:6])) or "no axis"
        raise BadSubmission(f"{name} has the shape {told}; expected {wanted}")


def _type_refused(told: str, spec: ArraySpec, name: str) -> BadSubmission:
    wanted = " or ".join(spec.dtypes)
    return BadSubmission(f"{name} has the type {one_line(told)}; expected {wanted}")


def _fits(head: Head, there: int, name: str) -> None:
    """Raise if an array of the header's type and shape has not the bytes that are there."""
    needed = math.prod(head.shape) * head.dtype.itemsize
    if needed != there:
        raise BadSubmission(f"{name} has {there} bytes of numbers; its header tells of {needed}")


def _bounded(array: Array, spec: ArraySpec, name: str) -> Array:
    """Return a copy in this machine's byte order, of numbers that are finite and in range."""
    array = np.array(array, dtype=array.dtype.newbyteorder("="), order="C")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise BadSubmission(f"{name} holds numbers that are not finite")
    outside = (spec.low is not None and array.size and array.min() < spec.low) or (
        spec.high is not None and array.size and array.max() > spec.high
    )
    if outside:
        low, high = array.min(), array.max()
        raise BadSubmission(
            f"{name} holds numbers from {low} to {high}; expected {spec.low} to {spec.high}"
        )
    return array
