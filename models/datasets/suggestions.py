"""Which encodings a text may be in that is no UTF-8, and how it reads in each: a person decides."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable

_WESTERN = (("latin-1", "cp1252"), ("cp1250", "cp1250"), ("mac_roman", "mac_roman"), ("cp850",) * 2)
_RUNS = (("cp1251",) * 2, ("koi8_r",) * 2, ("cp866",) * 2, ("cp1253",) * 2)
_QUOTED = (
    r"(?<![^\W\d_])[\u201c\u2018\u201e\u2013\u20ac]"
    r"|[\u201d\u2019\u2026\u201c\u20ac](?![^\W\d_])|(?<=[a-z])\u2019(?=[a-z])"
)
"""Quotes, dashes and euro signs where they belong: at the ends of words."""

_USUAL = 0.9
"""Share of the characters beyond ASCII that are usual ones, from which on a reading is likely."""


def suggested_encodings(content: bytes) -> list[tuple[str, str]]:
    """The names of up to three, the likeliest first, and how the first words beyond ASCII read."""
    content = content[: content.rfind(b"\n")] if b"\n" in content[1:] else content
    found: list[tuple[str, str]] = []
    for name, is_usual in _EASTERN:
        text = _decoded(content, name)
        beyond = re.sub(r"[\x00-\x7f]", "", text)
        needs_kana = name in ("cp932", "euc_jp")
        if needs_kana and not re.search("[\u3040-\u30ff]", text):
            continue
        if beyond and sum(map(is_usual, beyond)) >= _USUAL * len(beyond):
            found.append((name, _words(text)))
    high = re.findall(rb"[\x80-\xff]+", content)
    is_run = sum(map(len, high)) >= 3 * len(high)
    able = [*_RUNS, *_WESTERN] if is_run else _WESTERN
    scored = []
    for name, encoding in able:
        text = _decoded(content, encoding)
        if score := _letters(text) if text else 0.0:
            scored.append((score, name, _words(text)))
    best = max((score for score, *_ in scored), default=0.0)
    found += [(name, words) for score, name, words in scored if score > best - 0.05]
    seen: dict[str, str] = {}
    for name, words in found:
        seen.setdefault(words, name)
    return [(name, words) for words, name in seen.items()][:3]


def _decoded(content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        return ""


def _letters(text: str) -> float:
    """Share of the signs beyond ASCII beside a letter that are letters, none of them a capital
    behind a small one.
    """
    text = re.sub(_QUOTED, "", text)
    beside = re.findall(r"(?<=[^\W\d_])[^\x00-\x7f]|[^\x00-\x7f](?=[^\W\d_])", text)
    if not beside:
        return 1.0 if text.isascii() else 0.5
    turned = len(re.findall(r"(?=[^\x00-\x7f]{2})[^\W\d_][^\W\d_]", text))
    odd = sum(a.islower() and b.isupper() for a, b in itertools.pairwise(text))
    return max(sum(map(str.isalpha, beside)) / len(beside) - odd / max(turned, 1), 0.01)


def _words(text: str) -> str:
    found = re.search(r"[^\s,;|\"]*[^\x00-\x7f][^,;|\"\n]{0,20}", text)
    return found[0].strip()[:40] if found else ""


def _in_rows(encoding: str, first: int, last: int) -> Callable[[str], bool]:
    """Whether a character is among the usual ones of an encoding of two bytes each."""

    def is_usual(character: str) -> bool:
        pair = character.encode(encoding, "ignore")
        is_sign = pair[:1] in (b"\xa1", b"\xa2", b"\xa3")
        return len(pair) == 2 and pair[1] >= 0x40 and (first <= pair[0] <= last or is_sign)

    return is_usual


def _is_kana(character: str) -> bool:
    return "\u3040" <= character <= "\u30ff" or _is_kanji(character)


_is_kanji = _in_rows("euc_jp", 0xB0, 0xCF)

_EASTERN: tuple[tuple[str, Callable[[str], bool]], ...] = (
    ("cp932", _is_kana),
    ("euc_jp", _is_kana),
    ("euc_kr", lambda character: "\uac00" <= character <= "\ud7a3"),
    ("gbk", _in_rows("gb2312", 0xB0, 0xD7)),
    ("big5", _in_rows("big5", 0xA4, 0xC6)),
)
