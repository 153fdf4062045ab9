"""How a text is encoded, by its bytes, and what a file is that is no text. The same text runs in a
bundle: nothing here needs more than the standard library.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable

MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins as that of UTF-16 does
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)

_OPEN_IT = "open it in its program and save the table as CSV"
_SIGNS = (
    (b"\x1f\x8b", "compressed with gzip", "unpack it first, as with gunzip"),
    (b"BZh", "compressed with bzip2", "unpack it first, as with bunzip2"),
    (b"\xfd7zXZ\0", "compressed with xz", "unpack it first, as with unxz"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "unpack it first, as with unzstd"),
    (b"7z\xbc\xaf", "an archive of 7-Zip", "unpack it first"),
    (b"Rar!", "an archive of RAR", "unpack it first"),
    (b"\xd0\xcf\x11\xe0", "an old document of Microsoft Office (.xls)", _OPEN_IT),
    (b"%PDF", "a PDF", "copy its table to a spreadsheet and save that as CSV"),
    (b"{\\rtf", "rich text (RTF)", _OPEN_IT),
    (b"SQLite format 3\0", "an SQLite database", "export the table as CSV"),
    (b"\x89HDF", "an HDF5 file", "save the table as CSV or Parquet"),
    (b"ARROW1", "an Arrow file", "save the table as Parquet"),
    (b"FEA1", "a Feather file", "save the table as Parquet"),
    (b"ORC", "an ORC file", "save the table as Parquet"),
    (b"Obj\x01", "an Avro file", "save the table as Parquet"),
    (b"PAR1", "a Parquet file", "save the table as CSV"),
    (b"\x93NUMPY", "an array of NumPy", "save it as CSV, with a header"),
    (b"\x80\x04\x95", "a pickle", "save the table as CSV or Parquet"),
    (b"RDX", "data of R", "save the table with write.csv"),
    (b"$FL2", "a file of SPSS", _OPEN_IT),
    (b"<stata_dta>", "a file of Stata", _OPEN_IT),
    (b"\x89PNG", "a picture", "type its table into a spreadsheet"),
    (b"\xff\xd8\xff", "a picture", "type its table into a spreadsheet"),
    (b"version https://git-lfs", "a pointer of Git LFS", "git lfs pull brings the file itself"),
)
_TEXTS = (
    (r"<(?:!doctype\s+html|html|head|body|table)\b", "a page in HTML", _OPEN_IT),
    (r"(?:%[^\n]*\n\s*)*@relation\s", "an ARFF file of Weka", "save the table as CSV"),
    (r"[-+]?\d+(?:\.\d+)?(?: \d+:[-+.\deE]+)+\s*$", "a file of LIBSVM", "save the table as CSV"),
    (r"<\?xml|<!doctype", "XML", "save its table as CSV"),
    (r"\{\s*\"[^\"]*\"\s*:|\[\s*(?:\{\s*\"|\[)", "JSON", "save its rows as CSV, with a header"),
)
_UNDEFINED = {b"\x81", b"\x8d", b"\x8f", b"\x90", b"\x9d"}
"""Of cp1252."""


def is_binary(head: bytes) -> bool:
    """Whether a file is no text at all, by its first bytes."""
    if head.startswith((b"PK\x03\x04", *(sign for sign, *_ in _SIGNS))):
        return not head.startswith(b"version")
    return b"\0" in head and known_encoding(head) is None


def foreign(head: bytes) -> tuple[str, str] | None:
    """What a file is, by its first bytes, that is no table in text; and what can be done."""
    if head.startswith(b"PK\x03\x04"):
        if b"xl/" in head or b"[Content_Types].xml" in head:
            return "a workbook of Excel", _OPEN_IT
        if b"opendocument.spreadsheet" in head:
            return "a spreadsheet of OpenDocument", _OPEN_IT
        return "a zip", "unpack it first"
    for sign, what, advice in _SIGNS:
        if head.startswith(sign):
            return what, advice
    encoding = known_encoding(head)
    if is_binary(head):
        return "no text: it holds NUL bytes", "save the table as CSV in UTF-8"
    start = head.decode(encoding or "latin-1", "ignore").lstrip("\ufeff \t\r\n")
    for pattern, what, advice in _TEXTS:
        if re.match(pattern, start, re.IGNORECASE | re.MULTILINE):
            return what, advice
    return None


def known_encoding(head: bytes) -> str | None:
    """What a file's first bytes say: a mark, or the zeros of UTF-16 and UTF-32 without one, where
    most letters are Latin.
    """
    for mark, marked in MARKS:
        if head.startswith(mark):
            return marked
    count = len(head) // 4
    if not count or head.startswith((b"PK", b"\x1f\x8b", b"PAR1")):
        return None
    zeros = [head[place : 4 * count : 4].count(0) / count for place in range(4)]
    if min(zeros[1:3]) > 0.95 and max(zeros[0], zeros[3]) > 0.95 > min(zeros[0], zeros[3]):
        return "utf-32-le" if zeros[3] > 0.95 else "utf-32-be"
    first, second = ((zeros[place] + zeros[place + 2]) / 2 for place in (0, 1))
    if min(first, second) > 0.05 or max(first, second) < 0.4:
        return None
    return "utf-16-le" if second > first else "utf-16-be"


def is_windows_1252(chunks: Iterable[bytes]) -> bool:
    """Whether what is called Latin-1 has the quotes, dashes and euro signs of Windows, as browsers
    take it too: Latin-1 has nothing but controls there.
    """
    controls = {sign for chunk in chunks for sign in re.findall(rb"[\x80-\x9f]", chunk)}
    return bool(controls) and not controls & _UNDEFINED
