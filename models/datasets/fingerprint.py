"""The identity of a dataset: SHA-256 of its content and of how it is split."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray


def fingerprint(arrays: Mapping[str, NDArray[np.generic]]) -> str:
    """Hex SHA-256 of the arrays by name: name, type, shape and values, little-endian, row by row.

    The order in which they are given does not matter; their names do.
    """
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        portable = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        digest.update(f"{name} {portable.dtype.str} {array.shape}\n".encode())
        digest.update(portable.data if portable.size else b"")
    return digest.hexdigest()
