"""A zip of pictures with a table that says which class, or which labels, each has."""

from __future__ import annotations

import re
import unicodedata
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.datasets import Dataset, images
from models.datasets.archive import names_in, with_plain_names
from models.datasets.columns import read_table
from models.datasets.division import COLUMNS, DIVIDING, Divided, read_division
from models.datasets.formats import MAX_RATIO, FormatError, Options, Upload, formats
from models.datasets.formats.image_folders import (
    files_of,
    has_pictures,
    inner_places,
    is_table,
    members_in,
    of_other_words,
    opened,
    parts_of,
    place_of,
    read_pictures,
)
from models.datasets.formats.labelled_texts import left_out
from models.datasets.formats.tabular import (
    chosen,
    classes_of,
    target_column,
    without_missing,
)
from models.datasets.labels import are_missing, label_columns, read_labels
from models.datasets.pictures import ENDINGS, OTHER_ENDINGS
from models.datasets.raw_table import FIRST_ROW, RawTable, is_missing, shown
from models.datasets.splits import PARTS, WORDS, part_of
from models.datasets.targets import LabelSet
from models.remarks import Column, Kind, Remark, Role
from models.task import MULTILABEL

LABELS_FILE = "labels.csv"
_NAMES = {"validation": "val", "test": "test"}


@formats.register("labelled_images")
class LabelledImages:
    """`labels.csv`, or the only CSV of the zip, has a row a picture: a column with the picture's
    path, or as much of its end as no other picture has, with its ending or without, and one of
    classes or labels. Folders `train`, `val` and `test` divide the pictures, or a column does. With
    the option `unlabelled` a picture may be without a row.
    """

    tasks = frozenset({MULTILABEL, "image_classification"})
    options = DIVIDING | {
        "target",
        "labels_separator",
        "unlabelled",
        "size",
        "channels",
        "encoding",
        "separator",
        "missing",
    }
    description = "a zip of pictures with a labels.csv of their names and classes or labels"

    @staticmethod
    def recognises(path: Path) -> bool:
        return has_pictures(names_in(path))

    @staticmethod
    def read(upload: Upload) -> Dataset:
        with opened(upload.path) as archive:
            return _read(upload, archive)


@dataclass(frozen=True, slots=True, eq=False)
class _Labelled:
    """The pictures that the table names, and what it says of them; `divided` is by its rows.

    Shapes:
        y: (pictures,) classes, or (pictures, labels)
    """

    row_of: Mapping[str, int]
    y: NDArray[Any]
    labels: LabelSet | None
    divided: Divided
    columns: tuple[Column, ...]
    remarks: Sequence[Remark]


def _read(upload: Upload, archive: zipfile.ZipFile) -> Dataset:
    remarks = with_plain_names(archive)
    file = _labels_file(archive)
    members, ignored = members_in(archive, file.filename)
    table = _table(archive, file, upload.options)
    found = _labelled(table, file.filename, members, upload)
    members, x, told = read_pictures(archive, members, upload)
    places = inner_places(members, 1)
    parts, division = _parts(places), found.divided.division
    remarks += of_other_words(parts_of(places, may_be_classes=False))
    _check_one_division(places, upload.options)
    rows = np.array([found.row_of.get(member.filename, -1) for member in members])
    known = rows >= 0
    arrays: dict[str, Any] = {"folding": upload.options.folding, **upload.shares}
    if not known.all():
        _check_unlabelled(members, known, parts, file.filename, upload.options)
        arrays["unlabelled"] = x[~known]
    rows, parts = rows[known], parts[known]
    if division.parts is not None:
        parts = np.array(PARTS)[division.parts[rows]]
    x, y = x[known], found.y[rows]
    members = [members[place] for place in np.flatnonzero(known)]
    arrays["files"] = files_of(archive, members, parts)
    for part, name in _NAMES.items():
        if (of_part := parts == part).any():
            arrays |= {f"x_{name}": x[of_part], f"y_{name}": y[of_part]}
    train = parts == "train"
    if division.groups is not None:
        arrays["groups"] = division.groups[rows[train]]
    dataset = images.from_arrays(upload.name, x[train], y[train], labels=found.labels, **arrays)
    whole = (*found.remarks, *remarks, *ignored, *told, *found.divided.remarks, *dataset.remarks)
    return replace(dataset, columns=found.columns, remarks=whole)


def _parts(places: Sequence[tuple[str, ...]]) -> NDArray[Any]:
    """The part of the split that each picture is in: train where folders divide none.

    Raises:
        FormatError: some folders divide them, and others do not.
    """
    if (divided := parts_of(places, may_be_classes=False)) is not None:
        return np.array([divided[place[0]] for place in places])
    outer = list(dict.fromkeys(place[0] for place in places if len(place) > 1))
    strange = [name for name in outer if part_of(name) is None]
    if strange and any(part_of(name) == "train" for name in outer):
        raise FormatError(
            f"folder {', '.join(strange[:5])} beside train is no part of a split; known are "
            f"{', '.join(WORDS)}"
        )
    return np.full(len(places), "train")


def _check_one_division(places: Sequence[tuple[str, ...]], options: Options) -> None:
    """
    Raises:
        FormatError: folders divide the pictures, and a column is to do it too.
    """
    for option in COLUMNS:
        if getattr(options, option) is not None and parts_of(places, may_be_classes=False):
            found = ", ".join(dict.fromkeys(place[0] for place in places))
            raise FormatError(f"the folders {found} divide the pictures already", option)


def _labels_file(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    tables = [
        member
        for member in archive.infolist()
        if is_table(member.filename)
        and "__MACOSX" not in member.filename
        and not place_of(member).name.startswith("._")
    ]
    named = [member for member in tables if place_of(member).stem.lower() == "labels"]
    able = named or tables
    if len(able) != 1:
        found = ", ".join(member.filename for member in able[:5]) or "no CSV"
        several = (
            "; rows of several tables stand in one, without those that have no label"
            if able
            else ""
        )
        raise FormatError(f"the zip has one {LABELS_FILE}, or one CSV or TSV, got {found}{several}")
    (file,) = able
    if file.file_size > MAX_RATIO * max(file.compress_size, 1024):
        raise FormatError(f"{file.filename}: unpacks to more than {MAX_RATIO} times its size")
    return file


def _table(archive: zipfile.ZipFile, file: zipfile.ZipInfo, options: Options) -> RawTable:
    """Where the first row looks like data, or names a picture, there is no header."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / LABELS_FILE
        path.write_bytes(archive.read(file))
        options = options.model_copy(update={"decimal": "."})
        try:
            try:
                table = read_table(path, options)
                if not any(name.lower().endswith(ENDINGS) for name in table.texts):
                    return table
            except FormatError as error:
                if error.option != "header":
                    raise
            table = read_table(path, options.model_copy(update={"header": False}))
        except ValueError as error:
            raise FormatError(f"{file.filename}: {error}") from None
    message = f"{file.filename} has no header: its columns are called {', '.join(table.texts)}"
    return replace(table, remarks=[*table.remarks, Remark("header_guessed", message)])


def _labelled(
    table: RawTable, file: str, members: Sequence[zipfile.ZipInfo], upload: Upload
) -> _Labelled:
    """
    Raises:
        FormatError: a row names no picture, or one that another row names, or its labels are
            missing.
    """
    options, cells = upload.options, {n: texts.to_pylist() for n, texts in table.texts.items()}
    ends = _ends(members)
    targets = options.targets and chosen(cells, options.targets, "target")
    pictures = _pictures_column({n: c for n, c in cells.items() if n not in targets}, ends, file)
    paths, told_of_paths = _within(pictures, cells[pictures], ends)
    dividing = (options.split_column, options.group_column)
    others = [name for name in cells if name != pictures and name not in dividing]
    if not targets and len(others) == 1:
        targets = (others[0],)
    targets = chosen(cells, targets, "target")
    names = _named(paths, ends, file)
    known = np.arange(len(names))
    if options.unlabelled:
        missing = [_are_missing(cells[name], upload) for name in targets]
        known = np.flatnonzero(~np.all(missing, axis=0))
    own = {name: cells[name] for name in targets}
    of_known = {name: [values[row] for row in known] for name, values in own.items()}
    rows = known + FIRST_ROW
    labels: LabelSet | None = None
    if upload.task == MULTILABEL:
        y, labels, remarks = read_labels(of_known, rows.tolist(), options)
    elif len(own) > 1:
        raise FormatError(f"a classification has one, got {len(own)}", "target")
    else:
        values = without_missing(np.array(of_known[targets[0]]), options)
        y, remarks = classes_of(targets[0], values, rows)
    divided = read_division(table, options, (*targets, pictures), known)
    remarks += told_of_paths
    ignored = [name for name in others if name not in targets]
    if ignored:
        message = f"left out: {', '.join(ignored[:20])}; a network sees the picture alone"
        remarks.append(Remark("columns_ignored", message, ignored[0], len(ignored)))
    told = {name: left_out(name, table, "a network sees the picture alone") for name in ignored}
    told |= (
        {n: target_column(n, np.array(c), Kind.CATEGORY) for n, c in own.items()}
        if labels is None
        else label_columns(own, labels, options)
    )
    told |= divided.columns
    example, note = cells[pictures][0][:80], "names the picture"
    told[pictures] = Column(pictures, Kind.IDENTIFIER, Role.INPUT, 0, len(names), example, note)
    row_of = {names[row]: place for place, row in enumerate(known)}
    columns = tuple(told[name] for name in cells)
    return _Labelled(row_of, y, labels, divided, columns, [*table.remarks, *remarks])


def _are_missing(cells: Sequence[str], upload: Upload) -> NDArray[np.bool_]:
    if upload.task == MULTILABEL:
        return are_missing(cells, upload.options)
    return is_missing(without_missing(np.array(cells), upload.options))


def _ends(members: Sequence[zipfile.ZipInfo]) -> dict[str, str | None]:
    """The picture that a whole path, or the end of one, names; None where it names several."""
    ends: dict[str, str | None] = {}
    for member in members:
        parts = place_of(member).parts
        for start in range(len(parts)):
            for end in ("/".join(parts[start:]), "/".join(parts[start:]).rpartition(".")[0]):
                ends[end] = None if end in ends else member.filename
    return ends | {"/".join(place_of(member).parts): member.filename for member in members}


def _pictures_column(
    cells: Mapping[str, Sequence[str]], ends: Mapping[str, str | None], file: str
) -> str:
    """That which names the most pictures, each counted once.

    Raises:
        FormatError: none names any.
    """
    counts = {
        name: len({ends[end] for end in map(_path, _within(name, column, ends)[0]) if end in ends})
        for name, column in cells.items()
    }
    pictures = max(counts, key=lambda name: counts[name], default=None)
    if pictures is None or not counts[pictures]:
        known = ", ".join(list(ends)[:3])
        raise FormatError(
            f"{file}: no column has the names of pictures in the zip, of which the first may be "
            f"called {known}; the columns are {', '.join(cells)}"
        )
    return pictures


def _within(
    name: str, cells: Sequence[str], ends: Mapping[str, str | None]
) -> tuple[Sequence[str], list[Remark]]:
    """The paths of a column; where none is in the zip, without the folders that all have in common,
    as those of another computer. Numbers may lack zeros that names begin with.
    """
    paths = [PurePosixPath(_path(cell)) for cell in cells]
    known = [path.as_posix() in ends for path in paths]
    if not all(known) and (found := _by_numbers(cells, ends) or _by_stems(cells, ends)):
        first = known.index(False)
        message = (
            f"{name!r} names pictures but for zeros in front, capitals or endings: "
            f"{shown(cells[first])} is {found[first]}"
        )
        return found, [Remark("pictures_matched", message, name, known.count(False))]
    if not paths or any(known):
        return cells, []
    folders = zip(*(path.parts[:-1] for path in paths), strict=False)
    common = [found[0] for found in takewhile(lambda found: len(set(found)) == 1, folders)]
    if not common:
        return cells, []
    message = (
        f"the pictures are in no folder {PurePosixPath(*common).as_posix()!r} of the zip, which "
        f"each row of {name!r} begins with; it is left out"
    )
    shorter = [PurePosixPath(*path.parts[len(common) :]).as_posix() for path in paths]
    return shorter, [Remark("folders_left_out", message, name, len(shorter))]


def _by_numbers(cells: Sequence[str], ends: Mapping[str, str | None]) -> list[str] | None:
    """The pictures that whole numbers name, where each picture's name has one and is the same
    beside it; None where most cells are none of them, and else those cells as they are.
    """
    stems = {PurePosixPath(name).stem: name for name in ends.values() if name is not None}
    parts = {stem: re.fullmatch(r"(\D*)(\d+)(\D*)", stem) for stem in stems}
    if len({found and (found[1], found[3]) for found in parts.values()}) != 1:
        return None
    names = {int(found[2]): stems[stem] for stem, found in parts.items() if found}
    numbers = [re.fullmatch(r"(\d{1,18})(?:\.0+)?", cell) for cell in cells]
    found = [names.get(int(number[1])) if number else None for number in numbers]
    if len(names) < len(stems) or found.count(None) > 0.5 * len(found):
        return None
    return [name or cell for name, cell in zip(found, cells, strict=True)]


def _by_stems(cells: Sequence[str], ends: Mapping[str, str | None]) -> list[str] | None:
    """The pictures that cells name in other capitals or with another ending; None where most name
    none so, and else those cells as they are.
    """
    stems: dict[str, str | None] = {}
    for end, name in ends.items():
        if end not in stems:
            stems[end.lower()] = name if stems.get(end.lower(), name) == name else None
    found = [stems.get(_path(cell).lower()) or stems.get(_stem(cell)) for cell in cells]
    if not cells or found.count(None) > 0.5 * len(found):
        return None
    return [name or cell for name, cell in zip(found, cells, strict=True)]


def _stem(cell: str) -> str:
    """A path in small letters without the ending of a picture."""
    path = _path(cell).lower()
    is_picture = path.endswith((*ENDINGS, *OTHER_ENDINGS))
    return path.rpartition(".")[0] if is_picture else path


def _path(cell: str) -> str:
    """As `archive.with_plain_names` has it."""
    return PurePosixPath(unicodedata.normalize("NFC", cell).replace("\\", "/")).as_posix()


def _named(cells: Sequence[str], ends: Mapping[str, str | None], file: str) -> list[str]:
    """The picture of each row."""
    names: list[str] = []
    rows: dict[str, int] = {}
    for row, cell in enumerate(cells, FIRST_ROW):
        name = ends.get(_path(cell))
        if name is None:
            what = "several pictures" if _path(cell) in ends else "no picture"
            raise FormatError(f"{file}, row {row}: {shown(cell)} names {what} in the zip")
        if name in rows:
            raise FormatError(f"{file}, row {row}: {shown(cell)} is in row {rows[name]} as well")
        rows[name] = row
        names.append(name)
    return names


def _check_unlabelled(
    members: Sequence[zipfile.ZipInfo],
    known: NDArray[np.bool_],
    parts: NDArray[Any],
    file: str,
    options: Options,
) -> None:
    without = [member.filename for member, has in zip(members, known, strict=True) if not has]
    if not options.unlabelled:
        raise FormatError(
            f"{len(without)} of {len(members)} pictures have no row in {file}: "
            f"{', '.join(without[:10])}; with unlabelled=true they are samples to pretrain on"
        )
    for member, has, part in zip(members, known, parts, strict=True):
        if not has and part != "train":
            raise FormatError(
                f"{member.filename} is in the {part} split and has no row in {file}: a picture "
                "there has labels, or is left out"
            )
