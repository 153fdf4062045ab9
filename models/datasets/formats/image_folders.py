"""A zip of pictures, in one folder a class."""

from __future__ import annotations

import statistics
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.datasets import Dataset, images
from models.datasets.archive import BROKEN, names_in, with_plain_names
from models.datasets.formats import MAX_RATIO, MAX_VALUES, FormatError, Upload, formats
from models.datasets.picture_headers import Header, of_headers, read_header
from models.datasets.pictures import (
    ENDINGS,
    OTHER_ENDINGS,
    Picture,
    PictureError,
    fitted,
    read_picture,
    stacked,
)
from models.datasets.raw_files import FilesOf, RawFiles
from models.datasets.splits import CELL_WORDS, WORDS, part_of
from models.remarks import Remark

MAX_ENTRIES = 500_000
MAX_DEPTH = 8
MAX_BROKEN = 0.05
"""Share of the pictures that may be unreadable; they are left out and told."""

UNLABELLED = "unlabelled"

_OF_SYSTEMS = ("__MACOSX", "Thumbs.db", "ehthumbs.db", "desktop.ini")


@formats.register("image_folders")
class ImageFolders:
    """`class/name.png`, or the same within folders `train`, `val` and `test`, which divide the
    pictures then; a folder around it all is passed over. Colour and grey together become colour,
    and pictures of several sizes one of `size`, by default their median. With the option
    `unlabelled` the folder of that name holds pictures without a class.
    """

    tasks = frozenset({"image_classification"})
    options = frozenset({"unlabelled", "size", "channels", "validation"})
    description = "a zip with a folder of pictures (PNG, JPEG, WebP, BMP, GIF, TIFF) a class"

    @staticmethod
    def recognises(path: Path) -> bool:
        """Not where a table beside the pictures has to say their classes, as folders do not."""
        names = names_in(path)
        return has_pictures(names) and not is_listed(names)

    @staticmethod
    def read(upload: Upload) -> Dataset:
        with opened(upload.path) as archive:
            return _read(upload, archive)


def has_pictures(names: Iterable[str]) -> bool:
    """Whether a zip has pictures, by the endings of names, also of those that are not read."""
    return any(name.lower().endswith((*ENDINGS, *OTHER_ENDINGS)) for name in names)


def is_table(name: str) -> bool:
    """Whether a file of a zip may say what pictures are, by its name."""
    return (
        name.lower().endswith((".csv", ".tsv")) or PurePosixPath(name.lower()).name == "labels.txt"
    )


def is_listed(names: Iterable[str]) -> bool:
    """Whether a zip has a table, and pictures in no more than one folder beside those that divide
    them.
    """
    places = [PurePosixPath(name.replace("\\", "/")) for name in names]
    if not any(is_table(place.name) and not _is_systems(place) for place in places):
        return False
    pictures = [p for p in places if has_pictures([p.name]) and not _is_systems(p)]
    folders = {place.parent.name for place in pictures}
    return len({name for name in folders if name and part_of(name, CELL_WORDS) is None}) <= 1


@contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """
    Raises:
        FormatError: the zip is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except BROKEN as error:
        raise FormatError(f"the zip cannot be read: {error}") from None


def _read(upload: Upload, archive: zipfile.ZipFile) -> Dataset:
    remarks = with_plain_names(archive)
    members, ignored = members_in(archive)
    members, x, told = read_pictures(archive, members, upload)
    remarks += [*ignored, *told]
    places = inner_places(members, 2)
    divided = parts_of(places)
    _check_places(members, places, divided is not None)
    remarks += [*of_other_words(divided), *_of_other_folders(archive, members)]
    labels = np.array([place[-2] for place in places])
    parts = np.array(["train" if divided is None else divided[place[0]] for place in places])
    arrays: dict[str, Any] = {"folding": upload.options.folding, **upload.shares}
    if upload.options.unlabelled:
        known = labels != UNLABELLED
        for member, is_known, part in zip(members, known, parts, strict=True):
            if not is_known and part != "train":
                raise FormatError(f"{member.filename}: a picture of the {part} split has a class")
        arrays["unlabelled"] = None if known.all() else x[~known]
        x, labels, parts = x[known], labels[known], parts[known]
        members = [members[place] for place in np.flatnonzero(known)]
    arrays["files"] = files_of(archive, members, parts)
    for part, name in (("validation", "val"), ("test", "test")):
        if (chosen := parts == part).any():
            arrays |= {f"x_{name}": x[chosen], f"y_{name}": labels[chosen]}
    train = parts == "train"
    dataset = images.from_arrays(upload.name, x[train], labels[train], **arrays)
    return replace(dataset, remarks=(*remarks, *dataset.remarks))


def _check_places(
    members: Sequence[zipfile.ZipInfo], places: Sequence[tuple[str, ...]], is_divided: bool
) -> None:
    """
    Raises:
        FormatError: a picture is not in the folder of its class.
    """
    depth = 3 if is_divided else 2
    if all(len(place) == depth for place in places):
        if len({place[-2] for place in places}) == 1:
            only = places[0][-2]
            raise FormatError(f"all pictures are in one folder, {only!r}: {_expected(is_divided)}")
        return
    outer = list(dict.fromkeys(place[0] for place in places))
    if not is_divided and any(part_of(name) for name in outer):
        strange = ", ".join(name for name in outer if part_of(name) is None)
        if strange and all(len(place) == 3 for place in places):
            raise FormatError(
                f"folder {strange} is no part of a split; known are {', '.join(WORDS)}"
            )
    counts = Counter(map(len, places))
    stray = min(zip(members, places, strict=True), key=lambda pair: counts[len(pair[1])])[0]
    raise FormatError(f"{stray.filename}: {_expected(is_divided)}")


def _of_other_folders(
    archive: zipfile.ZipFile, members: Sequence[zipfile.ZipInfo]
) -> Iterator[Remark]:
    """Folders beside those of the classes, in which no picture could be read."""
    classes = {place_of(member).parent for member in members}
    beside = {place.parent for place in classes}
    found = [place_of(member) for member in archive.infolist()]
    folders = {folder for place in found for folder in (place, *place.parents)}
    folders -= {place_of(m) for m in archive.infolist() if not m.is_dir()}
    known = {folder for place in classes for folder in (place, *place.parents)}
    others = sorted(
        str(folder)
        for folder in folders - known
        if folder.parent in beside and not _is_systems(folder)
    )
    if others:
        message = f"no class, as no picture in it can be read: {', '.join(others[:10])}"
        yield Remark("empty_folders", message, others[0], len(others))


def files_of(
    archive: zipfile.ZipFile, members: Sequence[zipfile.ZipInfo], parts: NDArray[Any]
) -> FilesOf:
    """Of the pictures of the test part, or of those of train where there is none."""
    tested = np.flatnonzero(parts == ("test" if "test" in parts else "train"))
    return lambda places: RawFiles.of(archive.read(members[tested[place]]) for place in places)


def inner_places(members: Sequence[zipfile.ZipInfo], least: int) -> list[tuple[str, ...]]:
    """Where the pictures lie, without a folder around all of it; `least` parts are left of each."""
    places = [place_of(member).parts for member in members]
    while len({place[0] for place in places}) == 1 and min(map(len, places)) > least:
        places = [place[1:] for place in places]
    return places


def parts_of(
    places: Sequence[tuple[str, ...]], *, may_be_classes: bool = True
) -> dict[str, str] | None:
    """The part that each of the outermost folders is, where they divide the files; None where they
    do not. Abbreviations and words of other languages, which may be classes, are parts where the
    same classes are in two of them.
    """
    outer = list(dict.fromkeys(place[0] for place in places))
    for words in (WORDS, CELL_WORDS):
        found = {name: part for name in outer if (part := part_of(name, words)) is not None}
        is_whole = len(found) == len(outer) and "train" in found.values()
        if is_whole and len(set(found.values())) > 1:
            classes = [{p[1] for p in places if p[0] == name and len(p) > 2} for name in outer]
            again = sum(map(len, classes)) > len(set().union(*classes))
            return found if words is WORDS or again or not may_be_classes else None
    return None


def of_other_words(divided: Mapping[str, str] | None) -> Iterator[Remark]:
    """What is told of folders that divide the files by words of other languages."""
    others = {name: part for name, part in (divided or {}).items() if part_of(name) is None}
    if others:
        message = ", ".join(f"{name} is {part}" for name, part in others.items())
        yield Remark("split_guessed", f"of the folders {message}", next(iter(others)), len(others))


def _expected(is_divided: bool) -> str:
    if is_divided:
        return "a picture lies in the folder of its class, as in train/cat/1.png"
    return (
        "a picture lies in the folder of its class, as in cat/1.png; or in folders train, val and "
        "test first, as in train/cat/1.png; or a labels.csv has a row a picture, with its name and "
        "its class"
    )


def place_of(member: zipfile.ZipInfo) -> PurePosixPath:
    return PurePosixPath(member.filename)


def _is_systems(place: PurePosixPath) -> bool:
    """Whether programs made it: what is hidden, as checkpoints of notebooks, or lists pictures."""
    return any(part in _OF_SYSTEMS or part.startswith(".") for part in place.parts)


def members_in(
    archive: zipfile.ZipFile,
    known: str | None = None,
    *,
    endings: tuple[str, ...] = (*ENDINGS, *OTHER_ENDINGS),
    what: str = "picture",
) -> tuple[list[zipfile.ZipInfo], list[Remark]]:
    """The pictures, or what the `endings` of other files say, sorted by name, and what else there
    is beside the `known` file.
    """
    found = archive.infolist()
    if len(found) > MAX_ENTRIES:
        raise FormatError(f"at most {MAX_ENTRIES:,} entries are allowed, got {len(found):,}")
    remarks, members, others = [], [], []
    seen: set[str] = set()
    for member in sorted(found, key=lambda entry: entry.filename):
        path = place_of(member)
        if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
            raise FormatError(f"{member.filename!r} points out of the zip")
        if len(path.parts) > MAX_DEPTH:
            raise FormatError(f"{member.filename}: nested deeper than {MAX_DEPTH} folders")
        if member.is_dir() or member.filename == known:
            continue
        if _is_systems(path) or not path.name.lower().endswith(endings):
            others.append(member.filename)
            continue
        if member.file_size > MAX_RATIO * max(member.compress_size, 1024):
            raise FormatError(f"{member.filename}: unpacks to more than {MAX_RATIO} times its size")
        if member.filename in seen:
            raise FormatError(f"{member.filename!r} is in the zip twice; one of them is enough")
        seen.add(member.filename)
        members.append(member)
    if not members:
        raise FormatError(f"the zip has no {what}")
    if others:
        message = f"passed over what is no {what}: {', '.join(others[:10])}"
        remarks.append(Remark("files_ignored", message, others[0], len(others)))
    return members, remarks


def read_pictures(
    archive: zipfile.ZipFile, members: Sequence[zipfile.ZipInfo], upload: Upload
) -> tuple[list[zipfile.ZipInfo], NDArray[Any], list[Remark]]:
    """Those that can be read, in one size."""
    headers: dict[str, Header] = {}
    broken: dict[str, str] = {}
    for member in members:
        try:
            with archive.open(member) as file:
                headers[member.filename] = read_header(file)
        except PictureError as error:
            broken[member.filename] = str(error)
    _check_broken(broken, len(members))
    height, width = _size([header.size for header in headers.values()], upload)
    able, pictures, keeps_alpha = [], [], upload.options.channels == 4
    for member in (member for member in members if member.filename in headers):
        try:
            with archive.open(member) as file:
                picture = read_picture(file, with_alpha=keeps_alpha)
            pictures.append(fitted(picture, height, width))
            able.append(member)
        except PictureError as error:
            broken[member.filename] = str(error)
    _check_broken(broken, len(members))
    of_able = {member.filename: headers[member.filename] for member in able}
    remarks = list(_of_broken(broken, len(members)))
    remarks += of_headers(of_able, keeps_alpha=keeps_alpha)
    remarks += _of_grey(dict(zip(of_able, pictures, strict=True)))
    sizes = {name: header.size for name, header in of_able.items()}
    remarks += _of_sizes(sizes, (height, width), upload)
    return able, stacked(pictures), remarks


def _check_broken(broken: Mapping[str, str], count: int) -> None:
    if len(broken) > MAX_BROKEN * count:
        raise FormatError(
            f"{len(broken)} of {count} pictures cannot be read, more than {MAX_BROKEN:.0%}: "
            f"{_listed(broken)}"
        )


def _of_broken(broken: Mapping[str, str], count: int) -> Iterator[Remark]:
    if broken:
        message = f"{len(broken)} of {count} pictures cannot be read and were left out: "
        yield Remark("broken_pictures", message + _listed(broken), next(iter(broken)), len(broken))


def _listed(broken: Mapping[str, str]) -> str:
    """With the reason of each behind those that have it."""
    shown: dict[str, list[str]] = {}
    for name, reason in list(broken.items())[:10]:
        shown.setdefault(reason, []).append(name)
    return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in shown.items())


def _of_grey(pictures: Mapping[str, Picture]) -> Iterator[Remark]:
    grey = [name for name, picture in pictures.items() if picture.ndim == 2]
    if 0 < len(grey) < len(pictures):
        message = f"{len(grey)} of {len(pictures)} pictures are grey, and become colour as the rest"
        yield Remark("grey_beside_colour", message, grey[0], len(grey))


def _size(sizes: Sequence[tuple[int, int]], upload: Upload) -> tuple[int, int]:
    """Height and width of all pictures."""
    if upload.options.picture_size is not None:
        height, width = upload.options.picture_size
    else:
        height, width = (round(statistics.median(size[axis] for size in sizes)) for axis in (0, 1))
    if height * width * (upload.options.channels or 3) * len(sizes) > MAX_VALUES:
        raise FormatError(
            f"{len(sizes):,} pictures of {width}x{height} are more than {MAX_VALUES:,} values",
            "size",
        )
    return height, width


def _of_sizes(
    sizes: Mapping[str, tuple[int, int]], size: tuple[int, int], upload: Upload
) -> Iterator[Remark]:
    others = [name for name, found in sizes.items() if found != size]
    if others:
        message = (
            f"{len(others)} of {len(sizes)} pictures, of {len(set(sizes.values()))} sizes, were "
            f"scaled to {size[1]}x{size[0]}, with their edges repeated where the shape differs"
        )
        code = "mixed_sizes" if upload.options.picture_size is None else "resized"
        yield Remark(code, message, others[0], len(others))
