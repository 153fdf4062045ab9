"""What one cell of a table says. The same text runs in a bundle, so that a row means at prediction
what it meant in training: nothing here needs more than the standard library.
"""

from __future__ import annotations

import math
import re
import unicodedata
import zlib
from typing import Any

MISSING_WORDS = (
    "",
    "-",
    "--",
    ".",
    "..",
    "...",
    ":",
    "?",
    "#div/0!",
    "#n/a",
    "#na",
    "#name?",
    "#null!",
    "#num!",
    "#nv",
    "#ref!",
    "#value!",
    "(null)",
    "<na>",
    "<null>",
    "[null]",
    "\\n",
    "n.a.",
    "n/a",
    "na",
    "nan",
    "nat",
    "nil",
    "none",
    "null",
    "\N{EN DASH}",
    "\N{EM DASH}",
    "\N{HORIZONTAL ELLIPSIS}",
)
"""Of a column whose other cells are numbers, dates or booleans; in lower case."""

EMPTY_WORDS = ("", "#n/a", "(null)", "<na>", "<null>", "[null]", "\\n", "nan", "null")
"""Of a column of texts, where `None`, `NA` and `-` may be values like any other."""


def text_of(value: Any) -> str:
    """A cell as a table in text would show it: without blanks around it, `True` as true; the same
    of numbers and truth values of other libraries.
    """
    if isinstance(value, str):
        return value.strip()
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    if kind and kind in "biuf" and not value.shape:
        value = value.item() if kind != "f" or float(value).is_integer() else value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).strip()


def real_of(value: Any) -> float | None:
    """The number that a value of whatever library is; None of texts, truth values and others."""
    if isinstance(value, (bool, str, bytes)) or not hasattr(value, "__float__"):
        return None
    if getattr(getattr(value, "dtype", None), "kind", "f") not in "fiu":
        return None
    return None if getattr(value, "shape", ()) else float(value)


def composed(text: str) -> str:
    """In NFC, where an accent is part of its letter, as not all systems write it; without blanks
    and marks that nobody sees around it.
    """
    if text.isascii():
        return text
    unseen = " \t\r\n\u00a0\u00ad\u200b-\u200f\u202a-\u202e\u2060\ufeff"
    text = unicodedata.normalize("NFC", text)
    return re.sub(rf"^[{unseen}]+|[{unseen}]+$", "", text)


def boolean_of(text: str) -> float | None:
    """1 or 0 in every usual spelling, else None."""
    word = unicodedata.normalize("NFC", text.strip()).lower()
    yes = (
        "true t yes y 1 1.0 on .t. ja j oui o si sí sì s wahr vrai verdadero verdadeiro vero sim "
        "tak да 是 igen ano evet waar sand sant kyllä はい"
    )
    no = (
        "false f no n 0 0.0 off .f. nein non falsch faux falso não nao nie нет 否 nem ne "
        "hay\u0131r onwaar nee nej nei falsk falskt ei いいえ"
    )
    if word in yes.split():
        return 1.0
    if word in no.split():
        return 0.0
    return None


def bucket_of(text: str, buckets: int) -> int:
    """One of `buckets` places for a text, the same everywhere."""
    return zlib.crc32(text.encode("utf-8", "replace")) % buckets


def words(text: str) -> list[str]:
    """Lower-case words, and each sign between them: the cut of older datasets, which takes a text
    without blanks for one word.
    """
    return "".join(c if c.isalnum() else f" {c} " for c in text.lower()).split()


def is_unspaced(character: str) -> bool:
    """Of a script that is written without blanks between words; its digits are not."""
    return (
        re.match(
            "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf"  # Thai to Tai Tham
            "\u1b00-\u1b7f\ua980-\ua9ff\uaa60-\uaadf"  # Balinese, Javanese, more of Burmese and Tai
            "\u3005-\u3007\u3021-\u3029\u3031-\u303c\u3040-\u312f\u31a0-\u31ff\uff66-\uff9f"  # kana
            "\u3400-\u4dbf\u4e00-\ua48f\uf900-\ufaff\U00020000-\U0003ffff]",  # Han, Yi
            character,
        )
        is not None
        and not character.isdecimal()
    )


def unicode_words(text: str) -> list[str]:
    """Lower-case words, each sign between them, and each character of a script without blanks.

    Accents and vowel signs stay with their letter, an emoji is one with its colour and with what
    joiners tie to it. In NFC; marks of direction and soft hyphens mean nothing.
    """
    if text.isascii():
        return re.findall(r"[0-9a-z]+|[^0-9a-z\s]", text.lower())
    tokens: list[str] = []
    last, goes_on = "", False  # the character before; whether a letter would continue its word
    for c in unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).lower()):
        if c.isalnum():
            is_word = c < "\u0e00" or not is_unspaced(c)
            if goes_on and is_word:
                tokens[-1] += c
            else:
                tokens.append(c)
            last, goes_on = c, is_word
            continue
        kind = unicodedata.category(c)
        if c.isspace() or c == "\u200b":
            last, goes_on = "", False
        elif kind == "Cf" and not (c in "\u200c\u200d" or "\U000e0020" <= c <= "\U000e007f"):
            continue
        elif last and (kind[0] == "M" or kind == "Cf" or "\U0001f3fb" <= c <= "\U0001f3ff"):
            tokens[-1] += c
            last, goes_on = c, goes_on and c != "\u20e3"
        elif kind != "Cf":
            is_flag = "\U0001f1e6" <= c <= "\U0001f1ff"
            second = is_flag and tokens[-1:] == [last] and "\U0001f1e6" <= last <= "\U0001f1ff"
            if second or (last == "\u200d" and kind == "So"):
                tokens[-1] += c
            else:
                tokens.append(c)
            last, goes_on = c, False
    return tokens


def subwords(words: list[str], known: dict[str, int], longest: int = 16) -> list[str]:
    """Each word as parts, from its beginning on always the longest of those `known`; a character
    that is not is a part by itself. Where a word of more than one character begins stands \u2581.
    """
    parts = []
    for word in words:
        marked = word if len(word) == 1 else f"\u2581{word}"
        start = 0
        while start < len(marked):
            end = min(start + longest, len(marked))
            while end - start > 1 and marked[start:end] not in known:
                end -= 1
            parts.append(marked[start:end])
            start = end
    return parts


def tokens_of(text: str, kind: str, known: dict[str, int] | None = None) -> list[str]:
    """A text cut as `kind`, which datasets are stored with, says; `characters` as they are,
    `unicode_characters` in lower case and NFC, `unicode_subwords` into parts of words that are
    `known`.
    """
    if kind == "characters":
        return list(text)
    if kind == "unicode_characters":
        text = unicodedata.normalize("NFC", text.strip())
        return list(unicodedata.normalize("NFC", text.lower()))
    if kind == "unicode_subwords":
        return subwords(unicode_words(text), known or {})
    return unicode_words(text) if kind == "unicode_words" else words(text)
