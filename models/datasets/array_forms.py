"""Arrays of samples and classes in the forms that people save them in, as the readers take them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.remarks import Remark

Array = NDArray[Any]

_OF_BYTES = 16
"""A largest pixel from which on pictures are surely not of 0 to 1."""

_NO_CLASS = (255, 65535, 999, 9999, -9, -99, -100, -999, -9999, -(2**31), -(2**63), 2**31 - 1)
"""What stands for no class with those who read pictures and train networks."""

_WHOLE = re.compile(r"-?(?:0|[1-9]\d*)(?:\.0+)?")


def as_classes(name: str, y: Array) -> tuple[Array, list[Remark]]:
    """One class a sample, where an array says it in another way; any other as it is.

    Shapes:
        y: (N,), (N, 1), or (N, classes) of 0 and 1 with one 1 in each row -> (N,)
    """
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    reason = None
    if y.ndim == 2 and y.dtype.kind in "biuf" and 0 not in y.shape and _is_one_hot(y):
        reason = f"{name} has a 1 in one of {y.shape[1]} columns; the class is the number of it"
        y = y.argmax(axis=1)
    elif y.dtype.kind == "b":
        reason, y = f"{name} is true and false, which are the classes 1 and 0", y.astype(np.int64)
    elif y.dtype.kind == "f" and y.size and are_whole(y):
        reason, y = f"{name} is {y.dtype} of whole numbers, which are the classes", y.astype(int)
    return y, [] if reason is None else [Remark("classes_converted", reason, name, len(y))]


def of_odd_classes(name: str, classes: Array) -> list[Remark]:
    """A class of integers beside 0, 1 and so on that programs write where there is none; -1 is
    told of elsewhere.
    """
    if classes.dtype.kind not in "iu" or len(classes) < 3:
        return []
    odd = np.isin(classes, _NO_CLASS)
    others = np.sort(classes[~odd])
    if odd.sum() != 1 or others[0] not in (0, 1) or others[-1] - others[0] >= len(others):
        return []
    message = (
        f"{classes[odd][0]} is a class of {name}, beside those from {others[0]} to {others[-1]}; "
        "if it stands for none, leave those samples out"
    )
    return [Remark("sentinel_values", message, name, 1)]


def as_whole_numbers(name: str, texts: Array) -> tuple[Array, list[Remark]]:
    """Classes without the zeros that programs write behind whole numbers, as in 1.0, where all are
    whole and no two become one; else as they are spelled.
    """
    spelled = np.unique(texts).tolist()
    plain = {text: text.partition(".")[0] for text in spelled}
    if plain.keys() == set(plain.values()) or len(set(plain.values())) < len(plain):
        return texts, []
    if not all(map(_WHOLE.fullmatch, spelled)):
        return texts, []
    first = next(text for text in spelled if plain[text] != text)
    count = sum(plain[text] != text for text in texts.tolist())
    message = (
        f"{name!r} holds whole numbers with a fraction of zero, as {first}: it is {plain[first]}"
    )
    changed = np.array([plain[text] for text in texts.tolist()])
    return changed, [Remark("classes_converted", message, name, count)]


def _is_one_hot(y: Array) -> bool:
    return bool(np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all())


def are_whole(values: Array) -> bool:
    """Whether floats are whole numbers, none so large that it is not exact."""
    is_exact = np.abs(values) <= 2**53  # which NaN and infinity are not
    return bool(is_exact.all() and (np.mod(values, 1) == 0).all())


def as_pixels(arrays: Mapping[str, Array]) -> tuple[dict[str, Array], list[Remark]]:
    """Pictures with their channels last, as uint8, where all are whole numbers of 0 to 255, else as
    float32.

    Raises:
        ValueError: the pictures of one array go to 1 and those of another to 255.
    """
    found, remarks = _channels_last(arrays)
    types = {values.dtype for values in found.values()}
    if not (types <= {np.dtype(np.uint8)} or types <= {np.dtype(np.float32)}):
        if any(values.dtype.kind not in "iufb" or not values.size for values in found.values()):
            return found, remarks  # whose refusal names them
        found, told = _of_one_type(found)
        remarks += told
    _check_scales(found)
    return found, remarks


def _channels_last(arrays: Mapping[str, Array]) -> tuple[dict[str, Array], list[Remark]]:
    """(N, C, H, W) as (N, H, W, C), where the last axis cannot be that of channels."""
    first = next(iter(arrays.values()))
    if first.ndim != 4 or first.shape[1] not in (1, 3, 4) or first.shape[3] <= 4:
        return dict(arrays), []
    message = (
        f"samples of {first.shape[1:]} are read as {first.shape[1]} channels of height "
        f"{first.shape[2]} and width {first.shape[3]}, as the last axis holds no channels"
    )
    turned = {name: np.moveaxis(x, 1, -1) if x.ndim == 4 else x for name, x in arrays.items()}
    return turned, [Remark("channels_first", message, next(iter(arrays)), len(first))]


def _of_one_type(arrays: Mapping[str, Array]) -> tuple[dict[str, Array], list[Remark]]:
    """
    Raises:
        ValueError: a number is too large for float32.
    """
    are_bytes = all(
        values.dtype.kind in "iub" and values.min() >= 0 and values.max() <= 255
        for values in arrays.values()
    )
    wanted = np.dtype(np.uint8 if are_bytes else np.float32)
    changed = [name for name, values in arrays.items() if values.dtype != wanted]
    message = f"{', '.join(changed)}: {arrays[changed[0]].dtype} is read as {wanted}"
    for name in changed:
        check_fits(name, arrays[name])
    converted = {name: values.astype(wanted) for name, values in arrays.items()}
    return converted, [Remark("pixels_converted", message, changed[0], len(changed))]


def check_fits(name: str, values: Array) -> None:
    """
    Raises:
        ValueError: a number is beyond float32.
    """
    if values.dtype == np.float64:
        beyond = np.isfinite(values) & (np.abs(values) > np.finfo(np.float32).max)
        if beyond.any():
            place = np.argwhere(beyond)[0].tolist()
            raise ValueError(f"{name} has a number beyond float32, 3.4e38, first at {place}")


def _check_scales(arrays: Mapping[str, Array]) -> None:
    largest = {name: float(np.abs(values).max()) for name, values in arrays.items() if values.size}
    ones = [name for name, most in largest.items() if 0 < most <= 1]
    others = [name for name, most in largest.items() if most >= _OF_BYTES]
    if ones and others:
        raise ValueError(
            f"{ones[0]} holds values up to {largest[ones[0]]:g} and {others[0]} up to "
            f"{largest[others[0]]:g}: one of them seems to be divided by 255"
        )
