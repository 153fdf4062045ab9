"""How a table in text is written: its encoding, separator and header, found out or told."""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.datasets.encodings import foreign, is_windows_1252, known_encoding
from models.datasets.layout import Head, LayoutError, head_of, lines_above
from models.datasets.separators import (
    NO_QUOTE,
    SEPARATORS,
    first_rows,
    has_escapes,
    is_wrapped,
    may_cut_texts,
    quote_of,
    separator_of,
    unwrapped,
)
from models.datasets.suggestions import suggested_encodings
from models.remarks import Remark

_SAMPLE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Dialect:
    """`skipped_lines`: before the first row of `head`. `is_spaced`: blanks stand between cells, or
    in front of their quotes. `is_escaped`: as `separators.cells_in` takes it. `is_wrapped`: each
    line is a whole row in quotes.
    """

    encoding: str
    separator: str
    quote: str
    head: Head
    skipped_lines: int = 0
    is_spaced: bool = False
    is_escaped: bool = False
    is_wrapped: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether it is as `pyarrow` reads it."""
        if self.is_wrapped:
            return False
        return not self.is_spaced and not self.is_escaped and len(self.separator) == 1


def dialect_of(
    path: Path,
    *,
    encoding: str | None = None,
    separator: str | None = None,
    header: bool | Sequence[str] | None = None,
    named: Collection[str] = (),
) -> tuple[Dialect, list[Remark]]:
    """The dialect of a file, with what was guessed. What is given is taken as it is.

    named: columns that somebody names; a first row with all of them is the header.

    Raises:
        ValueError: it is no text of that encoding; names the first byte that is not.
        LayoutError: the first row looks like data.
    """
    check_is_table(path)
    encoding, remarks = encoding_of(path, encoding)
    check_encoding(path, encoding)
    with path.open(encoding=encoding, newline="") as file:
        text = file.read(_SAMPLE_BYTES)
    is_cut, skipped = len(text) == _SAMPLE_BYTES, 0
    wrapped = is_wrapped(text)
    if wrapped:
        text = "".join(unwrapped(text.splitlines()))
        message = "each line is a whole row in quotes, which are left out"
        remarks.append(Remark("lines_in_quotes", message))
    if hint := re.match(r"sep=(.)\r?\n", text):  # a spreadsheet's own word
        text, skipped = text[hint.end() :], 1
        separator = separator or hint.group(1)
    if above := lines_above(text):
        lines = text.splitlines(keepends=True)
        text, skipped = "".join(lines[above:]), skipped + above
        if told := next((line.strip() for line in lines[:above] if line.strip()), "")[:40]:
            message = f"{above} lines above the header are left out, the first is {told!r}"
            remarks.append(Remark("lines_skipped", message, None, above))
    text = text.lstrip("#")
    if separator is None:
        separator = separator_of(text)
        if separator != ",":
            message = f"columns are divided by {SEPARATORS[separator]}, which the file's lines say"
            remarks.append(Remark("separator_guessed", message))
    quote = quote_of(text, separator)
    if quote != '"':
        remarks.append(
            Remark(
                "quotes_guessed",
                "quotes are of the text of cells, as some begin one and end none"
                if quote == NO_QUOTE
                else "single quotes around cells are none of their text",
            )
        )
    is_escaped = has_escapes(text, separator, quote)
    if is_escaped:
        message = "a backslash stands before quotes or separators that are of a cell's text"
        remarks.append(Remark("escapes_guessed", message))
    rows = first_rows(text, separator, quote, is_escaped)
    are_cut = may_cut_texts(text, separator, quote)
    rows = rows[:-1] if is_cut and len(rows) > 1 else rows
    head, told_of_head = _head(rows, header, named, are_cut)
    is_spaced = separator == " " or re.search(f"{re.escape(separator)} +{quote}", text) is not None
    dialect = Dialect(encoding, separator, quote, head, skipped, is_spaced, is_escaped, wrapped)
    return dialect, [*remarks, *told_of_head]


def _head(
    rows: Sequence[Sequence[str]],
    header: bool | Sequence[str] | None,
    named: Collection[str],
    are_cut: bool,
) -> tuple[Head, list[Remark]]:
    cells = next((row for row in rows if row), ())
    first = {unicodedata.normalize("NFC", cell.strip()) for cell in cells}
    remarks = []
    try:
        head = head_of(rows, header, are_cut=are_cut)
    except LayoutError:
        if header is not None or not named or not set(named) <= first:
            raise
        head = head_of(rows, True, are_cut=are_cut)
        message = "the first row looks like data, and is the header, as it names the target"
        remarks.append(Remark("header_guessed", message))
    return head, [*remarks, *(Remark(code, message) for code, message in head.told)]


def check_is_table(path: Path) -> None:
    """
    Raises:
        ValueError: it is a file of another kind; says which, and what to do.
    """
    if (found := foreign(head_bytes(path))) is not None:
        what, advice = found
        raise ValueError(f"the file is {what}, no table in text; {advice}")


def head_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4096)


def encoding_of(path: Path, given: str | None = None) -> tuple[str, list[Remark]]:
    """The encoding that is given, or else that of the file's first bytes, which is told.

    What is called Latin-1 is that of Windows where it has signs that Latin-1 lacks.
    """
    if given is not None:
        remarks = []
        if (reads := _as_utf_8(path, given)) is not None:
            message = f"read as {given}, as options say, but UTF-8 would read {reads!r}"
            remarks.append(Remark("encoding_doubtful", message))
        if given in ("iso8859-1", "latin-1") and is_windows_1252(_chunks(path)):
            message = (
                "read as cp1252, the Latin-1 of Windows: it has quotes, dashes or euro signs where "
                "Latin-1 has nothing"
            )
            return "cp1252", [*remarks, Remark("encoding_guessed", message)]
        return given, remarks
    head = head_bytes(path)
    known = known_encoding(head)
    if known is None:
        return "utf-8", []
    if known == "utf-8-sig":
        return known, []
    is_marked = known in ("utf-16", "utf-32")
    reason = "which its first bytes say" if is_marked else "as its letters have bytes of zero"
    return known, [Remark("encoding_guessed", f"read as {known}, {reason}")]


def _as_utf_8(path: Path, encoding: str) -> str | None:
    """The first word beyond ASCII of a file that is UTF-8, where another encoding is said: two
    letters or more would stand for each one of it.
    """
    if encoding.startswith("utf") or encoding == "ascii":
        return None
    with path.open("rb") as file:
        content = file.read(_SAMPLE_BYTES)
    try:
        text = content[: content.rfind(b"\n") + 1].decode("utf-8")
    except UnicodeDecodeError:
        return None
    return next((word[:40] for word in re.split(r"[\s,;|]+", text) if not word.isascii()), None)


def check_encoding(path: Path, encoding: str, unit: str = "row") -> None:
    """Every byte of the file is text of the encoding; `unit` is what an error calls a line.

    Raises:
        ValueError: the first byte that is not, or a NUL.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    place, line = 0, 1
    for chunk in _chunks(path):
        try:
            text = decoder.decode(chunk)
        except UnicodeDecodeError as error:
            line += chunk[: error.start].count(b"\n")
            advice = ""
            if encoding.startswith("utf-8"):
                start = chunk.rfind(b"\n", 0, error.start) + 1
                advice = _advice(chunk[start : start + 4096])
            raise ValueError(
                f"{unit} {line}: byte {place + error.start:,} is no {encoding}{advice}"
            ) from None
        except UnicodeError as error:
            raise ValueError(f"the file is no {encoding}: {error}") from None
        if (nul := text.find("\0")) >= 0:
            place_of_nul = line + text.count("\n", 0, nul)
            raise ValueError(
                f"{unit} {place_of_nul} holds a NUL character, which no text has; one in "
                'UTF-16 without a mark needs the encoding "utf-16-le" or "utf-16-be"'
            )
        place, line = place + len(chunk), line + text.count("\n")


def _advice(content: bytes) -> str:
    ways = [f'"{name}", which reads {words!r}' for name, words in suggested_encodings(content)]
    likely = " or ".join(ways) or '"latin-1"'
    return f"; if it was written by an older program, try the encoding {likely}"


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            yield chunk
