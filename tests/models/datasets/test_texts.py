"""Texts of any script: what is a word, and that files of them are told of as tables are."""

# ruff: noqa: RUF001 - letters of many scripts

from __future__ import annotations

import gzip
import io
import itertools
import math
import unicodedata
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.datasets import Dataset
from models.datasets.cells import tokens_of, unicode_words, words
from models.datasets.formats import FormatError
from models.datasets.preprocess import encode, source
from models.exporters.source import STANDARD_LIBRARY
from models.remarks import Kind, Remark, Role
from tests.models.support.uploads import read

TASK = "text_classification"
CHINESE = ("这个书很差第{}次", "这个书真棒第{}次")
THAI = ("อาหารแย่มากครั้งที่{}", "อาหารอร่อยมากครั้งที่{}")
MIXED = ("iPhone {} 很差 👎🏽", "iPhone {} 真棒 👍🏽")


def file_of(pattern: tuple[str, str], count: int = 200, **more: list[str]) -> bytes:
    texts = [pattern[row % 2].format(row) for row in range(count)]
    labels = ["01" if row % 2 else "1" for row in range(count)]
    content: str = pd.DataFrame({"text": texts, "label": labels, **more}).to_csv(index=False)
    return content.encode()


def remark(found: Dataset, code: str) -> Remark:
    (one,) = [remark for remark in found.remarks if remark.code == code]
    return one


def codes(found: Dataset) -> list[str]:
    return [remark.code for remark in found.remarks]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("这书很好, iPhone15!", ["这", "书", "很", "好", ",", "iphone15", "!"]),
        ("第10次", ["第", "10", "次"]),
        ("日本語のテスト", list("日本語のテスト")),
        ("\U00020000𠮷", ["\U00020000", "𠮷"]),
        ("ดีมาก ๑๒", ["ดี", "ม", "า", "ก", "๑๒"]),  # vowels above a letter are marks of it
        ("ລາວ", ["ລ", "າ", "ວ"]),
        ("ខ្មែរ", ["ខ្", "មែ", "រ"]),
        ("မြန်မာ", ["မြ", "န်", "မာ"]),
        ("안녕 하세요 ㅋㅋㅋ", ["안녕", "하세요", "ㅋㅋㅋ"]),  # Korean has blanks
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),
        ("CAFE\u0301 café", ["café", "café"]),
        ("co\u00adop \u200ex \ufeffy", ["coop", "x", "y"]),
        ("ab\u200bcd", ["ab", "cd"]),
        ("👍👍🏽 ❤️x", ["👍", "👍🏽", "❤️", "x"]),
        ("👨‍👩‍👧‍👦!", ["👨‍👩‍👧‍👦", "!"]),
        ("🇩🇪🇫🇷🇯", ["🇩🇪", "🇫🇷", "🇯"]),
        ("1️⃣2️⃣", ["1️⃣", "2️⃣"]),
        ("\u200d\u0301 \u200b", ["\u0301"]),
        ("", []),
    ],
)
def test_a_text_is_cut_as_its_script_is_read(text: str, tokens: list[str]) -> None:
    assert unicode_words(text) == tokens


@given(st.text())
def test_how_a_letter_is_composed_means_nothing(text: str) -> None:
    forms = [unicodedata.normalize(form, text) for form in ("NFC", "NFD")]
    assert unicode_words(forms[0]) == unicode_words(forms[1]) == unicode_words(text)


@given(st.text(st.sampled_from("abzÄéßñ Жя.,!?-'\"\n\tαω0123²€½אبج한국")))
def test_what_has_words_and_blanks_is_cut_as_ever(text: str) -> None:
    """Datasets of such files, and their fingerprints, stay as they are."""
    assert unicode_words(text) == words(text) == tokens_of(text, "words")


@pytest.mark.parametrize("pattern", [CHINESE, THAI, MIXED])
def test_a_bag_of_tokens_separates_texts_without_blanks(
    tmp_path: Path, pattern: tuple[str, str]
) -> None:
    found = read(tmp_path, file_of(pattern), TASK, target="label")
    assert found.preprocessing["classes"] == ["01", "1"]
    size = found.task.vocabulary
    assert size is not None

    def bags(split: Any) -> torch.Tensor:
        return torch.stack([torch.bincount(row, minlength=size)[2:] for row in split.x]).float()

    train, held_out = bags(found.train), bags(found.test)
    centres = torch.stack([train[found.train.y == label].mean(0) for label in (0, 1)])
    scores = held_out @ (centres[1] - centres[0]) - (centres**2).sum(1).diff() / 2
    assert torch.equal((scores > 0).long(), found.test.y)


def hashed(tokens: list[str], buckets: int) -> list[float]:
    """Logarithms of how often each token and each pair stands in a bucket, of length 1 together."""
    found = Counter(
        zlib.crc32(token.encode()) % buckets
        for token in [*tokens, *(" ".join(pair) for pair in itertools.pairwise(tokens))]
    )
    parts = [math.log(1 + found[bucket]) for bucket in range(buckets)]
    return [part / math.hypot(*parts) for part in parts]


def test_a_bundle_cuts_alike_and_older_ones_as_they_did(tmp_path: Path) -> None:
    found = read(tmp_path, file_of(MIXED), TASK, target="label")
    modules = "\n".join(f"import {name}" for name in STANDARD_LIBRARY)
    for task in (TASK, "tabular_classification"):
        bundle: dict[str, Any] = {}
        code = f"from __future__ import annotations\nimport torch\n{modules}\n{source(task)}"
        exec(code, bundle)  # noqa: S102 - as a bundle has it
        raw = "Cafe\u0301 真棒 👍🏽 3"
        if task == TASK:
            for kind in ("unicode_words", "words"):
                stored = {**found.preprocessing, "tokens": kind}
                assert torch.equal(bundle["encode"]([raw], stored), encode([raw], stored))
        else:
            column = {"name": "t", "kind": "text", "buckets": 16}
            told = {"words": column, "unicode_words": {**column, "tokens": "unicode_words"}}
            for kind, spec in told.items():
                (row,) = bundle["encode"]([{"t": raw}], {"columns": [spec]}).tolist()
                assert row == pytest.approx(hashed(tokens_of(raw, kind), 16))
    old = encode(["真棒"], {**found.preprocessing, "tokens": "words"})
    assert old[0, 0] == 1 and old[0, 1] == 0  # one unknown word


def test_text_columns_of_tables_are_cut_alike(tmp_path: Path) -> None:
    content = file_of(CHINESE, n=[str(row % 7) for row in range(200)])
    found = read(tmp_path, content, "tabular_classification", target="label")
    (column,) = [c for c in found.preprocessing["columns"] if c["name"] == "text"]
    assert (column["kind"], column["tokens"]) == ("text", "unicode_words")


def test_a_file_of_texts_says_what_it_holds(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    texts = [f"{'good' if row % 2 else 'bad'} thing {rng.integers(9)}{row}" for row in range(300)]
    texts[7], texts[9], texts[11] = "", " \u200b", "n/a"
    texts[20] = texts[22] = texts[24]
    texts[30] = "good " * 40
    labels = ["yes" if row % 2 else "None" for row in range(300)]
    frame = pd.DataFrame({"id": range(300), "label": labels, "text": texts, "stars": 5})
    parquet = io.BytesIO()
    frame.to_parquet(parquet)
    separated = frame.to_csv(index=False, sep=";").encode("utf-16")
    given: dict[str, Any] = {"target": "label", "text": "text", "missing": ["N/A"]}
    found = read(tmp_path, parquet.getvalue(), TASK, **given)
    again = read(tmp_path, separated, TASK, encoding="utf-16", separator=";", **given)
    assert again.fingerprint == found.fingerprint and again.columns == found.columns
    assert [(c.name, c.role) for c in found.columns] == [
        ("id", Role.IGNORED), ("label", Role.TARGET), ("text", Role.INPUT), ("stars", Role.IGNORED)
    ]  # fmt: skip
    blank = encode(["", "N/A", "good"], found.preprocessing)
    assert not blank[:2].any() and blank[2].any()  # a bundle knows what is missing too
    assert (found.columns[2].kind, found.columns[2].missing) == (Kind.TEXT, 3)
    assert found.columns[0].note == "left out: a network sees 'text' alone"
    assert found.preprocessing["classes"] == ["None", "yes"]
    empty = remark(found, "empty_texts")
    assert (empty.count, empty.where) == (3, "row 9, column 'text'")
    assert remark(found, "duplicates").count == 2
    assert remark(found, "columns_ignored").count == 2
    assert remark(found, "long_texts").count == 1
    assert remark(found, "unknown_words").count  # each text has a number of its own
    assert sum(len(split) for split in (found.train, found.validation, found.test)) == 300
    assert "separator_guessed" in codes(
        read(tmp_path, frame.to_csv(sep=";").encode(), TASK, **given)
    )


def test_texts_are_cut_into_characters_where_it_is_said(tmp_path: Path) -> None:
    texts = [f"{'Gut' if row % 2 else 'Übel'} {row}" for row in range(300)]
    content = pd.DataFrame({"text": texts, "label": [t[0] for t in texts]}).to_csv(index=False)
    given: dict[str, Any] = {"target": "label", "window": 8, "tokens": "characters"}
    found = read(tmp_path, content.encode(), TASK, **given)
    vocabulary = found.preprocessing["vocabulary"]
    assert sorted(vocabulary[2:]) == sorted(set("gutübel 0123456789"))
    row = encode([" U\u0308be "], found.preprocessing)[0].tolist()
    assert [vocabulary[token] for token in row] == ["ü", "b", "e", "", "", "", "", ""]
    assert found.remarks == ()


def test_a_clean_file_is_told_nothing_of(tmp_path: Path) -> None:
    texts = [
        f"{'good' if row % 2 else 'bad'} {row // 2 % 20} and {row // 40}" for row in range(300)
    ]
    content = pd.DataFrame({"text": texts, "label": [t[0] for t in texts]}).to_csv(index=False)
    found = read(tmp_path, content.encode(), TASK, target="label", window=4)
    assert found.remarks == ()


def test_classes_of_texts_are_looked_at(tmp_path: Path) -> None:
    texts = [f"good {row % 9} thing {row // 9}" for row in range(90)]
    labels = ["4.5" if row % 30 else "rare" for row in range(90)]
    content = pd.DataFrame({"text": texts, "label": labels}).to_csv(index=False).encode()
    found = read(tmp_path, content, TASK, target="label")
    assert {"few_samples", "class_imbalance", "rare_class"} <= set(codes(found))
    assert found.preprocessing["classes"] == ["4.5", "rare"]


def test_mostly_empty_texts_are_refused(tmp_path: Path) -> None:
    texts = ["" if row % 3 else f"text {row}" for row in range(60)]
    frame = pd.DataFrame({"text": texts, "label": ["a", "b"] * 30})
    with pytest.raises(FormatError, match="40 of 60 texts of 'text' are empty, the first in row 3"):
        read(tmp_path, frame.to_csv(index=False).encode(), TASK, target="label")


TEXT = "Grüße an alle.\n" * 40


@pytest.mark.parametrize(
    ("content", "options", "told"),
    [
        (TEXT.encode(), {}, []),
        (TEXT.encode("utf-8-sig"), {}, []),
        (TEXT.encode("utf-8-sig"), {"encoding": "utf-8"}, []),
        (TEXT.encode("utf-16"), {}, ["encoding_guessed"]),
        (TEXT.encode("utf-16-le"), {"encoding": "utf-16-le"}, []),
        (TEXT.encode("utf-16-be"), {}, ["encoding_guessed"]),
        (TEXT.encode("latin-1"), {"encoding": "latin-1"}, []),
    ],
)
def test_a_text_is_the_same_in_every_encoding(
    tmp_path: Path, content: bytes, options: dict[str, Any], told: list[str]
) -> None:
    found = read(tmp_path, content, "language_modeling", window=10, **options)
    vocabulary, x = found.preprocessing["vocabulary"], found.train.x
    assert isinstance(x, torch.Tensor)
    assert "".join(vocabulary[token] for token in x.flatten().tolist()) == TEXT[:350]
    assert codes(found) == told


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (TEXT.encode("latin-1"), 'line 1: byte 2 is no utf-8; .* try the encoding "latin-1"'),
        (TEXT.encode() + b"\0", "line 41 holds a NUL character"),
    ],
)
def test_what_is_no_text_is_refused_with_its_place(
    tmp_path: Path, content: bytes, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        read(tmp_path, content, "language_modeling", window=10)


def test_characters_that_the_train_block_lacks_are_told(tmp_path: Path) -> None:
    content = ("abcd" * 150 + "wxyz" * 100).encode()
    found = read(tmp_path, content, "language_modeling", window=10)
    assert remark(found, "unknown_characters").count == len(found.validation) * 10


def test_what_is_no_text_models_no_language(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="the file is compressed with gzip, no text; unpack it"):
        read(tmp_path, gzip.compress(b"a text " * 500), "language_modeling")
