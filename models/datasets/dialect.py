"""How a table in text is written: its encoding and separator, found out or told."""

from __future__ import annotations

import codecs
import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path

from models.remarks import Remark

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}

_SAMPLE_BYTES, _SAMPLE_ROWS = 256 * 1024, 200


@dataclass(frozen=True, slots=True)
class Dialect:
    """`skipped_lines`: before the header."""

    encoding: str
    separator: str
    skipped_lines: int = 0


def dialect_of(
    path: Path, *, encoding: str | None = None, separator: str | None = None
) -> tuple[Dialect, list[Remark]]:
    """The dialect of a file, with what was guessed. What is given is taken as it is.

    Raises:
        ValueError: it is no text of that encoding; names the first byte that is not.
    """
    encoding, remarks = encoding_of(path, encoding)
    check_encoding(path, encoding)
    with path.open(encoding=encoding, newline="") as file:
        text = file.read(_SAMPLE_BYTES)
    skipped = 0
    if hint := re.match(r"sep=(.)\r?\n", text):  # a spreadsheet's own word
        text, skipped = text[hint.end() :], 1
        separator = separator or hint.group(1)
    above = _lines_above(text)
    if above:
        lines = text.splitlines(keepends=True)
        told = next(line.strip() for line in lines if line.strip())[:40]
        text, skipped = "".join(lines[above:]), skipped + above
        message = f"{above} lines above the header are left out, the first is {told!r}"
        remarks.append(Remark("lines_skipped", message, None, above))
    if separator is None:
        separator = _separator(text)
        if separator != ",":
            message = f"columns are divided by {SEPARATORS[separator]}, which the file's lines say"
            remarks.append(Remark("separator_guessed", message))
    return Dialect(encoding, separator, skipped), remarks


def encoding_of(path: Path, given: str | None = None) -> tuple[str, list[Remark]]:
    """The encoding that is given, or else that of the file's first bytes, which is told."""
    if given is not None:
        return given, []
    with path.open("rb") as file:
        head = file.read(4)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        message = "read as utf-16, which its first bytes say"
        return "utf-16", [Remark("encoding_guessed", message)]
    with path.open("rb") as file:
        guess = unmarked_utf16(file.read(4096))
    if guess is not None:
        message = f"read as {guess}, as every other of its first bytes is zero"
        return guess, [Remark("encoding_guessed", message)]
    return ("utf-8-sig" if head.startswith(codecs.BOM_UTF8) else "utf-8"), []


def unmarked_utf16(head: bytes) -> str | None:
    """The encoding of a text in UTF-16 without a mark, most of whose letters are Latin."""
    count = len(head) // 2
    if not count or head.startswith((b"PK", b"\x1f\x8b", b"PAR1")):
        return None
    first, second = (head[start::2].count(0) / count for start in (0, 1))
    if min(first, second) > 0.05 or max(first, second) < 0.4:
        return None
    return "utf-16-le" if second > first else "utf-16-be"


def check_encoding(path: Path, encoding: str, unit: str = "row") -> None:
    """Every byte of the file is text of the encoding; `unit` is what an error calls a line.

    Raises:
        ValueError: the first byte that is not, or a NUL.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    place, line = 0, 1
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            try:
                text = decoder.decode(chunk)
            except UnicodeDecodeError as error:
                line += chunk[: error.start].count(b"\n")
                advice = ""
                if encoding.startswith("utf-8"):
                    advice = '; if it was written by an older program, try the encoding "latin-1"'
                raise ValueError(
                    f"{unit} {line}: byte {place + error.start:,} is no {encoding}{advice}"
                ) from None
            if (nul := text.find("\0")) >= 0:
                place_of_nul = line + text.count("\n", 0, nul)
                raise ValueError(
                    f"{unit} {place_of_nul} holds a NUL character, which no text has; one in "
                    'UTF-16 without a mark needs the encoding "utf-16-le" or "utf-16-be"'
                )
            place, line = place + len(chunk), line + text.count("\n")


def _lines_above(text: str) -> int:
    """How many lines stand above the header: of those without a separator, where most have one, or
    with a number sign in front. Rows count from the header, which is row 1.
    """
    lines = text.splitlines()[:_SAMPLE_ROWS]
    divided = [any(sign in line for sign in SEPARATORS) for line in lines]
    if sum(divided) <= 0.5 * len(lines):
        return 0
    count, are_told = 0, False
    for line, has_cells in zip(lines, divided, strict=True):
        if '"' in line or (has_cells and not line.startswith("#")):
            break
        count, are_told = count + 1, are_told or bool(line.strip())
    return count if are_told and count < len(lines) else 0


def _rows(text: str, separator: str) -> list[list[str]]:
    """The first rows; the last one of a cut sample may be half."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    rows = []
    try:
        for row in reader:
            if row:
                rows.append(row)
            if len(rows) > _SAMPLE_ROWS:
                break
    except csv.Error:  # a field longer than the sample
        return rows
    return rows[:-1] if len(text) >= _SAMPLE_BYTES and len(rows) > 1 else rows


def _separator(text: str) -> str:
    """The one by which most rows have as many cells as the header, and more than one."""

    def fit(separator: str) -> tuple[float, int]:
        rows = _rows(text, separator)
        if not rows or len(rows[0]) < 2:
            return 0.0, 0
        width = len(rows[0])
        return sum(len(row) == width for row in rows) / len(rows), width

    best = max(SEPARATORS, key=lambda separator: (*fit(separator), separator == ","))
    return best if fit(best)[0] > 0 else ","
