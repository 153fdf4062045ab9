"""The texts of a classification cut into each kind of token, with the vocabulary of the training
split.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from models.datasets import Fold, Reading, Split
from models.datasets.cells import subwords, tokens_of
from models.datasets.preprocess import encode
from models.datasets.splits import Indices
from models.datasets.subwords import learned
from models.datasets.targets import Targets
from models.task import Task, TextSize

TokenKind = Literal["words", "subwords", "characters"]
TOKEN_KINDS: tuple[TokenKind, ...] = get_args(TokenKind)

PADDING, UNKNOWN = "", "\ufffd"
"""The first two tokens of every vocabulary."""

UNKNOWN_TOKEN = 1

MAX_VOCABULARY = 20_000
MAX_WORDS = 512

MAX_TOKENS = 2**26
"""Of all texts in a reading beside the one that is asked for: half a gigabyte."""

_AT_ONCE = 4096


@dataclass(frozen=True, slots=True, eq=False)
class LabelledTexts:
    """Texts and how they are divided; those after the last with a target have none, and belong to
    the training split.

    words: of each text. sets: rows of train, validation and test. cuts: of train and validation, by
    fold. known: what the preprocessing says of them however they are cut.
    """

    texts: Sequence[str]
    words: Sequence[list[str]]
    targets: Targets
    sets: tuple[Indices, ...]
    cuts: Sequence[tuple[Indices, Indices]]
    known: Mapping[str, Any]

    @property
    def trained(self) -> list[int]:
        """Rows that vocabularies are learned from."""
        return [*self.sets[0].tolist(), *range(len(self.targets.y), len(self.texts))]

    def tokens(self, row: int, kind: TokenKind, known: dict[str, int]) -> list[str]:
        if kind == "characters":
            return tokens_of(self.texts[row], "unicode_characters")
        return self.words[row] if kind == "words" else subwords(self.words[row], known)

    def lengths(self, preprocessing: Mapping[str, Any]) -> Indices:
        """How many tokens each text with a target has."""
        known = {token: number for number, token in enumerate(preprocessing["vocabulary"])}
        kind = preprocessing["tokens"].removeprefix("unicode_")
        rows = range(len(self.targets.y))
        return np.array([len(self.tokens(row, kind, known)) for row in rows])


def sizes(read: Mapping[str, Reading]) -> tuple[TextSize, ...]:
    """As the task of the dataset has them."""
    return tuple(
        TextSize(kind, one.task.input_shape[0], len(one.preprocessing["vocabulary"]))
        for kind, one in read.items()
    )


def readings(found: LabelledTexts, own: TokenKind, window: int | None) -> dict[str, Reading]:
    """By kind of token, `own` first; of the others those that are not too large.

    window: tokens of a text that a network sees of `own`, by default as many as 19 of 20 texts have
    and at most 512. Of other tokens it is as many as the same texts are cut into, at most 512.
    """
    kinds = (own, *(kind for kind in TOKEN_KINDS if kind != own))
    read: dict[str, Reading] = {}
    whole: dict[str, int] = {}
    for kind in kinds:
        vocabulary = [PADDING, UNKNOWN, *_vocabulary(kind, found)]
        known = {token: number for number, token in enumerate(vocabulary)}
        counts = [len(found.tokens(row, kind, known)) for row in found.trained]
        whole[kind] = max(sum(counts), 1)
        if kind != own:
            of_own = read[own].task.input_shape[0]
            length = min(math.ceil(of_own * whole[kind] / whole[own]), MAX_WORDS)
            if length * len(found.texts) > MAX_TOKENS:
                continue
        elif window is not None:
            length = window
        else:
            most = int(np.quantile(counts, 0.95, method="higher"))
            length = min(max(most, 1), MAX_WORDS)
        preprocessing = described(f"unicode_{kind}", vocabulary, length)
        read[kind] = _reading(found, {**preprocessing, **found.known})
    return read


def described(tokens: str, vocabulary: list[str], window: int) -> dict[str, Any]:
    """The preprocessing of texts that are cut so."""
    return {
        "input": {"shape": [window], "dtype": "int64"},
        "steps": [],
        "tokens": tokens,
        "vocabulary": vocabulary,
        "unknown": UNKNOWN_TOKEN,
    }


def _vocabulary(kind: TokenKind, found: LabelledTexts) -> list[str]:
    """The tokens of the training split, the most frequent first; or parts of its words."""
    of = "words" if kind == "subwords" else kind
    counts = Counter(token for row in found.trained for token in found.tokens(row, of, {}))
    del counts[UNKNOWN]
    most = MAX_VOCABULARY - 2
    if kind == "subwords":
        return learned(counts, most)
    return sorted(counts, key=lambda token: (-counts[token], token))[:most]


def _reading(found: LabelledTexts, preprocessing: dict[str, Any]) -> Reading:
    y = found.targets.y
    encoded = _encoded(found.texts[: len(y)], preprocessing)
    train, validation, test = (
        Split(encoded[torch.from_numpy(rows)], torch.from_numpy(y[rows])) for rows in found.sets
    )
    more = found.texts[len(y) :]
    window, vocabulary = preprocessing["input"]["shape"][0], len(preprocessing["vocabulary"])
    return Reading(
        Task(found.targets.task, (window,), found.targets.outputs, vocabulary),
        train,
        validation,
        test,
        preprocessing,
        _encoded(more, preprocessing) if more else None,
        tuple(_fold(encoded, y, preprocessing, *cut) for cut in found.cuts),
    )


def _encoded(texts: Sequence[str], preprocessing: Mapping[str, Any]) -> Tensor:
    parts = (texts[start : start + _AT_ONCE] for start in range(0, len(texts), _AT_ONCE))
    return torch.cat([encode(part, preprocessing) for part in parts])


def _fold(
    encoded: Tensor,
    y: Indices,
    preprocessing: dict[str, Any],
    train: Indices,
    validation: Indices,
) -> Fold:
    """With the vocabulary of the whole train split; what this train part lacks of it is unknown."""
    x, held_out = (encoded[torch.from_numpy(rows)] for rows in (train, validation))
    known = torch.zeros(len(preprocessing["vocabulary"]), dtype=torch.bool)
    known[x.flatten()] = True
    known[0] = True
    held_out = torch.where(known[held_out], held_out, UNKNOWN_TOKEN)
    return Fold(
        Split(x, torch.from_numpy(y[train])),
        Split(held_out, torch.from_numpy(y[validation])),
        preprocessing,
    )
