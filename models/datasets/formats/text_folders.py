"""A zip of text files, in one folder a class, as reviews of films are handed out: Maas et al., ACL
2011, https://aclanthology.org/P11-1015.
"""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from models.datasets import Dataset, findings, text
from models.datasets.archive import names_in, with_plain_names
from models.datasets.encodings import known_encoding
from models.datasets.formats import MAX_VALUES, FormatError, Upload, formats
from models.datasets.formats.image_folders import (
    inner_places,
    members_in,
    of_other_words,
    opened,
    parts_of,
)
from models.datasets.formats.labelled_texts import is_empty_text, text_column
from models.datasets.splits import PARTS, Division
from models.remarks import Remark

ENDINGS = (".txt",)
NONE = ("unlabelled", "unlabeled", "unsup")
"""Folders of texts without a class."""

TEXT = "text"
"""The column of the texts in a table to predict from."""

MAX_BYTES = 2**30

_EXPECTED = (
    "a text lies in the folder of its class, as in good/1.txt, or in folders train, val and test "
    "first, as in train/good/1.txt; or a CSV has a column of texts and one of classes"
)


@formats.register("text_folders")
class TextFolders:
    """`class/name.txt`, or the same within folders `train`, `val` and `test`, which divide the
    texts then; a folder around it all, and files beside the folders of classes, are passed over.
    With the option `unlabelled` the train folders of `NONE` hold texts without a class.
    """

    tasks = frozenset({"text_classification"})
    options = frozenset({"window", "tokens", "unlabelled", "encoding", "validation"})
    description = "a zip with a folder of text files (.txt) a class"

    @staticmethod
    def recognises(path: Path) -> bool:
        return any(name.lower().endswith(ENDINGS) for name in names_in(path))

    @staticmethod
    def read(upload: Upload) -> Dataset:
        with opened(upload.path) as archive:
            return _read(upload, archive)


def _read(upload: Upload, archive: zipfile.ZipFile) -> Dataset:
    remarks = with_plain_names(archive)
    members, ignored = members_in(archive, endings=ENDINGS, what="text file")
    members, places, beside = _in_folders(members)
    divided = parts_of(places)
    is_divided = divided is not None
    if (size := sum(member.file_size for member in members)) > MAX_BYTES:
        raise FormatError(f"at most {MAX_BYTES:,} bytes of texts are allowed, got {size:,}")
    if len(members) * (upload.options.window or 1) > MAX_VALUES:
        raise FormatError(f"more than {MAX_VALUES:,} tokens", "window")
    labels = np.array([place[-2] for place in places])
    parts = np.array([0 if divided is None else PARTS.index(divided[place[0]]) for place in places])
    texts = [_decoded(archive, member, upload.options.encoding) for member in members]
    known = ~np.isin(labels, NONE)
    _check_classes(labels, parts, known, upload.options.unlabelled)
    division = Division(parts[known] if is_divided else None, folding=upload.options.folding)
    dataset = text.classification(
        upload.name,
        [found for found, is_known in zip(texts, known, strict=True) if is_known],
        labels[known],
        [found for found, is_known in zip(texts, known, strict=True) if not is_known],
        column=TEXT,
        window=upload.options.window,
        tokens=upload.options.tokens,
        division=division,
        **upload.shares,
    )
    empty = [m.filename for m, found in zip(members, texts, strict=True) if is_empty_text(found)]
    told = [*remarks, *ignored, *beside, *of_other_words(divided), *_of_empty(empty, len(texts))]
    if is_divided:
        told += findings.of_drawn_parts(division.drawn, dataset.labelled_sizes)
    told += findings.of_folds(dataset)
    columns = (text_column(TEXT, texts, len(empty)),)
    return replace(dataset, columns=columns, remarks=(*told, *dataset.remarks))


def _in_folders(
    members: Sequence[zipfile.ZipInfo],
) -> tuple[list[zipfile.ZipInfo], list[tuple[str, ...]], list[Remark]]:
    """The texts that lie as deep as most do, and where; what is told of those less deep.

    Raises:
        FormatError: most lie in no folder, or one lies deeper.
    """
    whole = inner_places(members, 2)
    depth = Counter(map(len, whole)).most_common(1)[0][0]
    kept = [pair for pair in zip(members, whole, strict=True) if len(pair[1]) == depth]
    deeper = [m.filename for m, p in zip(members, whole, strict=True) if len(p) > depth]
    able, places = [member for member, _ in kept], inner_places([m for m, _ in kept], 2)
    wanted = 2 if parts_of(places) is None else 3
    if deeper or len(places[0]) != wanted:
        raise FormatError(f"{(deeper or [able[0].filename])[0]}: {_EXPECTED}")
    others = [m.filename for m, p in zip(members, whole, strict=True) if len(p) < depth]
    message = f"passed over what is in no folder of a class: {', '.join(others[:10])}"
    told = [Remark("files_ignored", message, others[0], len(others))] if others else []
    return able, places, told


def _decoded(archive: zipfile.ZipFile, member: zipfile.ZipInfo, encoding: str | None) -> str:
    content = archive.read(member)
    known = encoding or known_encoding(content[:4096]) or "utf-8"
    try:
        return content.decode(known).removeprefix("\ufeff").strip()
    except UnicodeDecodeError as error:
        raise FormatError(
            f"{member.filename}: byte {error.start} is no {known}; if it was written by an older "
            "program, try another encoding, as latin-1",
            "encoding",
        ) from None


def _check_classes(
    labels: np.ndarray[tuple[int], np.dtype[np.str_]],
    parts: np.ndarray[tuple[int], np.dtype[np.int64]],
    known: np.ndarray[tuple[int], np.dtype[np.bool_]],
    is_unlabelled: bool,
) -> None:
    """
    Raises:
        FormatError: there are texts without a class, and nobody says so, or not in train; or all
            are of one.
    """
    if not known.all() and not is_unlabelled:
        raise FormatError(
            f"folder {str(labels[~known][0])!r} seems to hold texts without a class: with "
            "unlabelled=true they are samples to pretrain on"
        )
    if (parts[~known] != 0).any():
        raise FormatError("a text of the validation or test split has a class")
    if len(set(labels[known].tolist())) == 1:
        raise FormatError(f"all texts are in one folder, {str(labels[known][0])!r}: {_EXPECTED}")


def _of_empty(names: Sequence[str], count: int) -> Iterator[Remark]:
    if names:
        message = f"{len(names)} of {count} texts are empty, the first is {names[0]}; they are kept"
        yield Remark("empty_texts", message, names[0], len(names))
