"""Reading `.npz` files of strangers: plain arrays, and no more memory than the file says."""

from __future__ import annotations

import io
import math
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from models.datasets.archive import BROKEN, names_in
from models.datasets.array_forms import are_whole, as_classes, of_odd_classes
from models.datasets.array_names import OF_SAMPLES, samples_name
from models.remarks import Remark

MAX_ARRAYS = 64
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_npz(file: Path | BinaryIO, limit_bytes: int) -> dict[str, NDArray[Any]]:
    """All arrays by name. What an array claims is held against the archive before it is read.

    Raises:
        ValueError: not an `.npz` of plain arrays, or one of more than `limit_bytes` unpacked.
        OSError: the file cannot be opened.
    """
    if isinstance(file, Path):
        with file.open("rb") as opened:
            return read_npz(opened, limit_bytes)
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            size = sum(member.file_size for member in members)
            if size > limit_bytes:
                raise ValueError(
                    f"at most {limit_bytes:,} bytes unpacked are allowed, got {size:,}"
                )
            if len(members) > MAX_ARRAYS:
                raise ValueError(f"at most {MAX_ARRAYS} arrays are allowed, got {len(members)}")
            return {_name(member): _read(archive, member) for member in members}
    except BROKEN as error:
        raise ValueError(f"not an .npz of plain arrays: {error}") from None


def is_npz(path: Path) -> bool:
    """Whether it is a zip of `.npy` files alone."""
    names = names_in(path)
    return bool(names) and all(name.endswith(".npy") for name in names)


def samples_in(
    found: Mapping[str, NDArray[Any]], expected: str
) -> tuple[dict[str, NDArray[Any]], list[Remark]]:
    """Arrays as x and y, and of x_val, y_val, x_test, y_test and x_unlabelled those that are there,
    by whichever usual name. `expected`: in words.

    Raises:
        ValueError: an array has another name, or is there twice; x or y is missing; x or y of a
            part comes without the other.
    """
    arrays: dict[str, NDArray[Any]] = {}
    sources: dict[str, str] = {}
    for name, values in found.items():
        known = samples_name(name)
        if known is None or known == "y_unlabelled":
            raise ValueError(
                f"unknown array {name!r}; expected is {expected}; known are {OF_SAMPLES}"
            )
        known = known.removesuffix("_train")
        if known in arrays:
            raise ValueError(
                f"{sources[known]!r} and {name!r} both name {known}; one of them is enough"
            )
        arrays[known], sources[known] = values, name
    if missing := [name for name in ("x", "y") if name not in arrays]:
        raise ValueError(
            f"x and y are needed, or x_train and y_train; {', '.join(missing)} is missing, "
            f"got {', '.join(found)}"
        )
    for part in ("val", "test"):
        if (f"x_{part}" in arrays) != (f"y_{part}" in arrays):
            raise ValueError(f"x_{part} and y_{part} come together")
    return arrays, renamed({name: known for known, name in sources.items()})


def renamed(names: Mapping[str, str]) -> list[Remark]:
    """What is told of arrays that go by another name than the one here: by each, that."""
    others = {name: own for name, own in names.items() if not _is_plain(name, own)}
    if not others:
        return []
    message = ", ".join(f"{name} is read as {own}" for name, own in others.items())
    return [Remark("arrays_renamed", message, next(iter(others)), len(others))]


_SAME = {"x_train": "x", "y_train": "y"}
_SAME |= {f"{a}_{part}": f"{a}_val" for a in "xy" for part in ("valid", "validation")}


def _is_plain(name: str, own: str) -> bool:
    """Whether it is the name itself, in capitals or not, and whichever word there is for a part."""
    return own in (name.lower(), _SAME.get(name.lower()))


def converted_classes(
    arrays: Mapping[str, NDArray[Any]],
) -> tuple[dict[str, NDArray[Any]], list[Remark]]:
    """With one class a sample in those whose names begin with y (`array_forms.as_classes`).

    Raises:
        ValueError: a number stands for no class.
    """
    found, remarks = dict(arrays), []
    for name in (name for name in arrays if name.startswith("y")):
        found[name], told = as_classes(name, arrays[name])
        _check_classes(name, found[name])
        remarks += told
    remarks += _of_odd_classes(found["y"])
    return found, remarks


def _check_classes(name: str, y: NDArray[Any]) -> None:
    if y.dtype.kind != "f" or y.ndim != 1 or not y.size:
        return
    if (missing := np.isnan(y)).any():
        raise ValueError(
            f"{name} is NaN for {int(missing.sum())} of {len(y)} samples, first for sample "
            f"{int(missing.argmax())}; samples without a class stand in x_unlabelled, or are left "
            "out"
        )
    shown = next(value for value in y if not are_whole(value))
    raise ValueError(
        f"{name} holds numbers that are no classes, as {shown:g}; classes are whole "
        "numbers or strings"
    )


def _of_odd_classes(y: NDArray[Any]) -> list[Remark]:
    """Of samples of which each has a class, where one seems to stand for none."""
    classes = np.unique(y)
    if y.dtype.kind == "i" and len(classes) > 2 and classes[0] == -1:
        message = "-1 counts as a class; samples without one stand in x_unlabelled, or are left out"
        return [Remark("minus_one_is_a_class", message, "y", int((y == -1).sum()))]
    return of_odd_classes("y", classes)


def npz_of(**arrays: NDArray[Any]) -> bytes:
    """The content of a file that `read_npz` reads."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _name(member: zipfile.ZipInfo) -> str:
    return member.filename.removesuffix(".npy")


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    name = _name(member)
    with archive.open(member) as stream:
        try:
            version = np.lib.format.read_magic(stream)
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                shape, _, dtype = _HEADERS[version](stream)
        except (ValueError, KeyError, UserWarning) as error:
            raise ValueError(f"not an .npz of plain arrays: {name}: {error}") from None
        if dtype.hasobject or dtype.kind not in "biufUS":
            advice = f"; save it as {name}.astype(str), or as numbers" if dtype.hasobject else ""
            raise ValueError(
                f"not an .npz of plain arrays: {name} holds {dtype}; numbers and strings are "
                f"allowed{advice}"
            )
        needed = math.prod(shape) * dtype.itemsize
        if needed > member.file_size:
            raise ValueError(
                f"not an .npz of plain arrays: {name} claims the shape {shape} of {dtype}, "
                f"but has {member.file_size:,} bytes"
            )
    with archive.open(member) as stream:
        found = np.lib.format.read_array(stream, allow_pickle=False)
    try:
        return np.char.decode(found, "utf-8") if dtype.kind == "S" else found
    except UnicodeError as error:
        raise ValueError(f"{name} holds bytes that are no UTF-8: {error}") from None
