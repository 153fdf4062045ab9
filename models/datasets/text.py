"""Texts as token ids: by character to model a language, by word to classify."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.datasets import Dataset, Reading, Split, findings
from models.datasets.cells import unicode_words
from models.datasets.fingerprint import fingerprint
from models.datasets.preprocess import encode
from models.datasets.readings import (
    MAX_TOKENS,
    MAX_VOCABULARY,
    PADDING,
    TOKEN_KINDS,
    UNKNOWN,
    UNKNOWN_TOKEN,
    LabelledTexts,
    TokenKind,
    described,
    readings,
    sizes,
)
from models.datasets.splits import Division, Indices, ordered
from models.datasets.targets import LabelSet, targets_of
from models.remarks import Remark
from models.task import Task

_UNDIVIDED = Division()

MANY_UNKNOWN = 0.25
"""Share of the tokens of validation that the vocabulary lacks, from which on it is told."""


def language_modeling(
    name: str,
    text: str,
    *,
    window: int,
    validation: float = 0.2,
    test: float = 0.2,
) -> Dataset:
    """The next character of a text, which is split into three blocks in its own order.

    The vocabulary is that of the train block.

    Shapes:
        x, y: (N, window); y is x one character later
    Raises:
        ValueError: a text that is too short, or of too many different characters.
    """
    blocks = ordered(len(text), (validation, test))
    parts = [text[block[0] : block[-1] + 1] for block in blocks]
    characters = sorted(set(parts[0]) - {UNKNOWN})
    if len(characters) > MAX_VOCABULARY:
        raise ValueError(f"at most {MAX_VOCABULARY:,} characters differ, got {len(characters):,}")
    preprocessing = described("characters", [PADDING, UNKNOWN, *characters], window)
    whole = {**preprocessing, "input": {"shape": [len(text)], "dtype": "int64"}}
    (tokens,) = encode([text], whole)
    splits = []
    for block, part in zip(tokens.split([len(part) for part in parts]), parts, strict=True):
        samples = (len(part) - 1) // window
        if samples < 1:
            raise ValueError(
                f"{len(part):,} characters of a split are too few for a window of {window}"
            )
        x, y = (block[start : start + samples * window].view(samples, window) for start in (0, 1))
        splits.append(Split(x, y))
    size = len(preprocessing["vocabulary"])
    content = {
        "tokens": tokens.numpy(),
        "vocabulary": np.array(characters),
        "splits": np.array([len(part) for part in parts]),
        "window": np.array(window),
    }
    train, val, held_out = splits
    return Dataset(
        name=name,
        task=Task("language_modeling", (window,), size, size),
        train=train,
        validation=val,
        test=held_out,
        raw_test=held_out,
        preprocessing=preprocessing,
        fingerprint=fingerprint(content),
        remarks=tuple(_of_unknown(val, "characters")),
    )


def classification(
    name: str,
    texts: Sequence[str],
    y: NDArray[Any],
    unlabelled: Sequence[str] = (),
    *,
    labels: LabelSet | None = None,
    column: str | None = None,
    window: int | None = None,
    tokens: TokenKind = "words",
    missing: Sequence[str] = (),
    division: Division = _UNDIVIDED,
    validation: float = 0.2,
    test: float = 0.2,
    seed: int = 0,
) -> Dataset:
    """Texts with one class each, or with any of the `labels`; as lower-case words and signs, and as
    characters where a script has no blanks; or with `tokens` as parts of words, or as characters
    all of them. The dataset keeps the other readings as well.

    Texts that are equal as such go to one split, those without a word too, as far as `division`
    does not say otherwise. The vocabulary is the
    most frequent words of the train split, and the length, where it is left open, that of 19 of 20
    of its texts; what is longer is cut. `unlabelled` are more texts of it, without a class; those
    that validation or test have are left out. `missing` are texts, in lower case, that count as
    empty. `column`: where the texts stood in a file, and those to predict from will.

    Shapes:
        y: (N,) integers or strings, or (N, labels) of 0 and 1
        x: (N, window), 0 after the end of a text

    Raises:
        ValueError: there is one class, or too few different texts.
    """
    targets = targets_of(y, labels, "text_classification")
    y = targets.y
    groups: dict[str, int] = {}
    as_given = texts
    texts, unlabelled = (
        ["" if text.strip().lower() in missing else text for text in given]
        for given in (texts, unlabelled)
    )
    words = [unicode_words(text) for text in texts]
    group_of = np.array([groups.setdefault(" ".join(found), len(groups)) for found in words])
    if len(groups) < 3:
        raise ValueError(f"three splits need three different texts or more, got {len(groups)}")
    sets = division.sets(len(y), (validation, test), seed, y, group_of)
    scored = set(group_of[np.concatenate(sets[1:])].tolist())
    more = [(text, unicode_words(text)) for text in unlabelled]
    more = [pair for pair in more if groups.get(" ".join(pair[1])) not in scored]
    known = dict(targets.known)
    if column is not None:
        known |= {"text": column, "example": {column: as_given[sets[0][0]]}}
    if missing:
        known["missing"] = list(missing)
    cuts = division.cuts(sets, seed, y, group_of)
    given = LabelledTexts(
        texts=[*texts, *(text for text, _ in more)],
        words=[*words, *(found for _, found in more)],
        targets=targets,
        sets=tuple(sets),
        cuts=cuts,
        known=known,
    )
    read = readings(given, tokens, window)
    own = read[tokens]
    content = {
        "x": _in_order((own.train, own.validation, own.test), sets),
        "y": y,
        "vocabulary": np.array(own.preprocessing["vocabulary"]),
    }
    content |= dict(zip(("train", "validation", "test"), sets, strict=True))
    content |= {f"fold.{number}": chosen for number, (_, chosen) in enumerate(cuts)}
    if own.unlabelled is not None:
        content["x_unlabelled"] = own.unlabelled.numpy()
    dataset = Dataset(
        name=name,
        task=replace(own.task, readings=sizes(read)),
        train=own.train,
        validation=own.validation,
        test=own.test,
        raw_test=own.test,
        preprocessing=own.preprocessing,
        fingerprint=fingerprint(content),
        unlabelled=own.unlabelled,
        raw_rows={} if column is None else {column: [as_given[row] for row in sets[2]]},
        folds=own.folds,
        readings={kind: reading for kind, reading in read.items() if kind != tokens},
    )
    lengths = given.lengths(own.preprocessing)
    has_words = lengths > 0
    told = [
        *_of_texts(lengths, group_of, tokens, own, division.parts),
        *findings.of_contradictions(group_of[has_words], y[has_words], "texts"),
        *_of_unknown(own.validation, tokens),
        *_of_size(read),
    ]
    return replace(dataset, remarks=(*told, *findings.of_samples(dataset)))


def _in_order(splits: Sequence[Split], sets: Sequence[Indices]) -> NDArray[np.int64]:
    """The tokens of all texts, in the order of the file."""
    rows = np.concatenate(sets)
    x = np.concatenate([split.x.numpy() for split in splits if isinstance(split.x, torch.Tensor)])
    whole = np.empty_like(x)
    whole[rows] = x
    return whole


def _of_texts(
    lengths: Indices, groups: Indices, what: str, read: Reading, parts: Indices | None
) -> Iterator[Remark]:
    """What the texts have in common, and what of them a network does not see."""
    window = read.task.input_shape[0]
    groups, parts = groups[lengths > 0], None if parts is None else parts[lengths > 0]
    if len(np.unique(groups)) < len(groups):
        yield from findings.of_equal_samples(groups, len(groups), "texts", parts)
    if longer := int((lengths > window).sum()):
        message = (
            f"{longer} of {len(lengths)} texts are longer than {window} {what}, the "
            f"longest has {lengths.max()}; the rest of them is cut off"
        )
        yield Remark("long_texts", message, None, longer)


def _of_unknown(validation: Split, what: str) -> Iterator[Remark]:
    """Whether new texts are largely made of what the train split has not."""
    tokens = validation.x
    assert isinstance(tokens, torch.Tensor)  # noqa: S101 - for the type checker
    unknown, whole = int((tokens == UNKNOWN_TOKEN).sum()), int((tokens != 0).sum())
    if unknown > MANY_UNKNOWN * whole:
        message = (
            f"{unknown / whole:.0%} of the {what} of validation are in no text of the train split: "
            "a network knows nothing of them"
        )
        yield Remark(f"unknown_{what}", message, None, unknown)


def _of_size(read: Collection[str]) -> Iterator[Remark]:
    if left := [kind for kind in TOKEN_KINDS if kind not in read]:
        message = (
            f"the texts are not kept as {' and '.join(left)} too, which would be more than "
            f"{MAX_TOKENS:,} tokens; the option tokens can ask for them in place of the others"
        )
        yield Remark("tokens_left_out", message, None, len(left))
