"""Texts as token ids: by character to model a language, by word to classify."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from models.datasets import Dataset, Fold, Split, findings
from models.datasets.cells import tokens_of, unicode_words
from models.datasets.fingerprint import fingerprint
from models.datasets.preprocess import encode
from models.datasets.splits import Division, Indices, ordered
from models.datasets.targets import LabelSet, targets_of
from models.remarks import Remark
from models.task import Task

PADDING, UNKNOWN = "", "\ufffd"
"""The first two tokens of every vocabulary."""

UNKNOWN_TOKEN = 1

MAX_VOCABULARY = 20_000
MAX_WORDS = 512

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
    preprocessing = _preprocessing("characters", [PADDING, UNKNOWN, *characters], window)
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
    tokens: Literal["words", "characters"] = "words",
    missing: Sequence[str] = (),
    division: Division = _UNDIVIDED,
    validation: float = 0.2,
    test: float = 0.2,
    seed: int = 0,
) -> Dataset:
    """Texts with one class each, or with any of the `labels`; as lower-case words and signs, and as
    characters where a script has no blanks; or with `tokens` as characters all of them.

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
    cut = [unicode_words(text) for text in texts]
    group_of = np.array([groups.setdefault(" ".join(found), len(groups)) for found in cut])
    if len(groups) < 3:
        raise ValueError(f"three splits need three different texts or more, got {len(groups)}")
    sets = division.sets(len(y), (validation, test), seed, y, group_of)
    scored = set(group_of[np.concatenate(sets[1:])].tolist())
    more_cut = [(text, unicode_words(text)) for text in unlabelled]
    more_cut = [pair for pair in more_cut if groups.get(" ".join(pair[1])) not in scored]
    unlabelled = [text for text, _ in more_cut]
    kind = f"unicode_{tokens}"
    if tokens != "words":
        cut = [tokens_of(text, kind) for text in texts]
        more_cut = [(text, tokens_of(text, kind)) for text in unlabelled]
    split_texts = [*(cut[index] for index in sets[0]), *(found for _, found in more_cut)]
    counts = Counter(word for text in split_texts for word in text if word != UNKNOWN)
    frequent = sorted(counts, key=lambda word: (-counts[word], word))[: MAX_VOCABULARY - 2]
    if window is None:
        length = int(np.quantile([len(text) for text in split_texts], 0.95, method="higher"))
        window = min(max(length, 1), MAX_WORDS)
    preprocessing = _preprocessing(kind, [PADDING, UNKNOWN, *frequent], window)
    preprocessing |= targets.known
    if column is not None:
        preprocessing["text"] = column
        preprocessing["example"] = {column: as_given[sets[0][0]]}
    if missing:
        preprocessing["missing"] = list(missing)
    encoded = encode(texts, preprocessing)
    train, val, held_out = (
        Split(encoded[torch.from_numpy(chosen)], torch.from_numpy(y[chosen])) for chosen in sets
    )
    content = {"x": encoded.numpy(), "y": y, "vocabulary": np.array(preprocessing["vocabulary"])}
    content |= dict(zip(("train", "validation", "test"), sets, strict=True))
    cuts = division.cuts(sets, seed, y, group_of)
    content |= {f"fold.{number}": chosen for number, (_, chosen) in enumerate(cuts)}
    more = encode(unlabelled, preprocessing) if unlabelled else None
    if more is not None:
        content["x_unlabelled"] = more.numpy()
    dataset = Dataset(
        name=name,
        task=Task(targets.task, (window,), targets.outputs, len(frequent) + 2),
        train=train,
        validation=val,
        test=held_out,
        raw_test=held_out,
        preprocessing=preprocessing,
        fingerprint=fingerprint(content),
        unlabelled=more,
        raw_rows={} if column is None else {column: [as_given[row] for row in sets[2]]},
        folds=tuple(_fold(encoded, y, preprocessing, *cut) for cut in cuts),
    )
    lengths = np.array([len(found) for found in cut])
    told = [
        *_of_texts(lengths, group_of, window, tokens, division.parts),
        *_of_unknown(val, tokens),
    ]
    return replace(dataset, remarks=(*told, *findings.of_samples(dataset)))


def _fold(
    encoded: torch.Tensor,
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


def _of_texts(
    lengths: Indices, groups: Indices, window: int, what: str, parts: Indices | None
) -> Iterator[Remark]:
    """What the texts have in common, and what of them a network does not see."""
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


def _preprocessing(tokens: str, vocabulary: list[str], window: int) -> dict[str, Any]:
    return {
        "input": {"shape": [window], "dtype": "int64"},
        "steps": [],
        "tokens": tokens,
        "vocabulary": vocabulary,
        "unknown": UNKNOWN_TOKEN,
    }
