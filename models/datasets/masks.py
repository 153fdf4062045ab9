"""The split of the nodes of a graph that comes with it, under the names that people give it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.datasets.splits import Division
from models.remarks import Remark

Array = NDArray[Any]

_WORDS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
_FORMS = ("{}_mask", "{}_masks", "{}_idx", "{}_index", "{}_indices", "idx_{}")
NAMES: Mapping[str, tuple[str, ...]] = {
    part: tuple(form.format(word) for form in _FORMS for word in words)
    for part, words in _WORDS.items()
}
"""Of each part, what its mask or the numbers of its nodes may be called."""


def divided(arrays: Mapping[str, Array], known: NDArray[np.bool_]) -> tuple[Division, list[Remark]]:
    """Of the nodes that have a class, those of train, and of validation and test where they are
    given; nothing where no split is given.

    Shapes:
        known: (nodes,) whether a node has a class

    Raises:
        ValueError: train is missing, or a part is there twice; a node is in two; the array is no
            mask.
    """
    found = {part: [name for name in names if name in arrays] for part, names in NAMES.items()}
    given = {name: part for part, names in found.items() for name in names}
    if not given:
        return Division(), []
    for names in found.values():
        if len(names) > 1:
            raise ValueError(f"{' and '.join(names)} name the same nodes; one of them is enough")
    if len(given) < 2 or not found["train"]:
        raise ValueError(
            f"train_mask comes with val_mask, test_mask or both, got only {', '.join(given)}"
        )
    remarks = []
    masks = []
    for name in given:
        first, splits = _first(arrays[name], len(known))
        masks.append(_mask(name, first, len(known)))
        if splits > 1:
            message = f"{name} has {splits} splits; the first is used"
            remarks.append(Remark("splits_ignored", message, name, splits - 1))
    if (twice := np.flatnonzero(np.sum(masks, axis=0) > 1)).size:
        raise ValueError(f"node {twice[0]} is in two of {', '.join(given)}")
    for name, mask in zip(given, masks, strict=True):
        if without := int((mask & ~known).sum()):
            if not (mask & known).any():
                raise ValueError(f"{name} has no node with a class")
            message = f"{without} of {int(mask.sum())} nodes have no class and are left out"
            remarks.append(Remark("unlabelled_in_split", message, name, without))
    parts = np.full(len(known), -1, dtype=np.int64)
    for part, mask in zip(given.values(), masks, strict=True):
        parts[mask & known] = list(NAMES).index(part)
    return Division(parts), remarks


def _first(array: Array, nodes: int) -> tuple[Array, int]:
    """The first of the splits that lie side by side, (nodes, splits) or (splits, nodes), and how
    many there are.
    """
    if array.ndim == 2 and array.size and nodes in array.shape:
        return (array[:, 0], array.shape[1]) if len(array) == nodes else (array[0], len(array))
    return array, 1


def _mask(name: str, array: Array, nodes: int) -> NDArray[np.bool_]:
    is_mask = array.dtype == np.bool_ or (
        "mask" in name and array.shape == (nodes,) and bool(np.isin(array, (0, 1)).all())
    )
    fits = array.shape == (nodes,) if is_mask else array.ndim == 1 and array.dtype.kind in "iu"
    if not fits or not (array.any() if is_mask else array.size):
        raise ValueError(
            f"{name} is true or false for each of {nodes} nodes, once true at least, or the "
            f"numbers of nodes, got {array.dtype} {array.shape}"
        )
    if is_mask:
        return array.astype(np.bool_)
    if (wrong := np.flatnonzero((array < 0) | (array >= nodes))).size:
        raise ValueError(
            f"{name} names nodes from 0 to {nodes - 1}, got {array[wrong[0]]} at [{wrong[0]}]"
        )
    counts = np.bincount(array.astype(np.int64), minlength=nodes)
    if (counts > 1).any():
        raise ValueError(f"{name} names node {int(counts.argmax())} twice")
    return counts > 0
