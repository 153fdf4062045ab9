"""A zip of PNG and JPEG files, in one folder a class."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.datasets import Dataset, images
from models.datasets.archive import BROKEN, names_in
from models.datasets.formats import MAX_RATIO, MAX_VALUES, FormatError, Upload, formats

MAX_ENTRIES = 500_000
MAX_PIXELS = 4096 * 4096
MAX_DEPTH = 8
_ENDINGS = (".png", ".jpg", ".jpeg")
_SPLITS = ("train", "test")
UNLABELLED = "unlabelled"


@formats.register("image_folders")
class ImageFolders:
    """`class/name.png`, or `train/class/name.png` and `test/class/name.png`; a folder around it all
    is passed over. All pictures have one size; colour and grey together become colour. With the
    option `unlabelled` the folder of that name holds pictures without a class.
    """

    tasks = frozenset({"image_classification"})
    options = frozenset({"unlabelled"})
    description = "a zip with a folder of PNG or JPEG files a class"

    @staticmethod
    def recognises(path: Path) -> bool:
        return any(name.lower().endswith(_ENDINGS) for name in names_in(path))

    @staticmethod
    def read(upload: Upload) -> Dataset:
        try:
            with zipfile.ZipFile(upload.path) as archive:
                return _read(upload, archive)
        except BROKEN as error:
            raise FormatError(f"the zip cannot be read: {error}") from None


def _read(upload: Upload, archive: zipfile.ZipFile) -> Dataset:
    members = _members(archive)
    places = [PurePosixPath(member.filename).parts for member in members]
    while len({place[0] for place in places}) == 1 and min(map(len, places)) > 2:
        places = [place[1:] for place in places]
    has_split = {place[0] for place in places} == set(_SPLITS) and min(map(len, places)) > 2
    depth = 3 if has_split else 2
    for member, place in zip(members, places, strict=True):
        if len(place) != depth:
            raise FormatError(f"{member.filename}: a picture lies in the folder of its class")
    pictures = _pictures(archive, members)
    labels = np.array([place[-2] for place in places])
    shares: dict[str, Any] = dict(upload.shares)
    train = np.array([place[0] == "train" or not has_split for place in places])
    if upload.options.unlabelled:
        known = labels != UNLABELLED
        for member, is_known, is_train in zip(members, known, train, strict=True):
            if not (is_known or is_train):
                raise FormatError(f"{member.filename}: a picture of the test split has a class")
        shares["unlabelled"] = None if known.all() else pictures[~known]
        pictures, labels, train = pictures[known], labels[known], train[known]
    if not has_split:
        return images.from_arrays(upload.name, pictures, labels, **shares)
    return images.from_arrays(
        upload.name, pictures[train], labels[train], pictures[~train], labels[~train], **shares
    )


def _members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The pictures, sorted by name."""
    found = archive.infolist()
    if len(found) > MAX_ENTRIES:
        raise FormatError(f"at most {MAX_ENTRIES:,} entries are allowed, got {len(found):,}")
    members = []
    for member in sorted(found, key=lambda entry: entry.filename):
        path = PurePosixPath(member.filename)
        if path.is_absolute() or ".." in path.parts or "\\" in member.filename:
            raise FormatError(f"{member.filename!r} points out of the zip")
        if len(path.parts) > MAX_DEPTH:
            raise FormatError(f"{member.filename}: nested deeper than {MAX_DEPTH} folders")
        if member.is_dir() or path.parts[0] == "__MACOSX" or path.name.startswith("."):
            continue
        if not path.name.lower().endswith(_ENDINGS):
            raise FormatError(f"{member.filename}: neither PNG nor JPEG")
        if member.file_size > MAX_RATIO * max(member.compress_size, 1024):
            raise FormatError(f"{member.filename}: unpacks to more than {MAX_RATIO} times its size")
        members.append(member)
    if not members:
        raise FormatError("the zip has no picture")
    return members


def _pictures(archive: zipfile.ZipFile, members: Sequence[zipfile.ZipInfo]) -> NDArray[np.uint8]:
    pictures: list[NDArray[Any]] = []
    size: tuple[int, int] | None = None
    for member in members:
        picture = _picture(archive, member)
        if size is None:
            size = picture.shape[0], picture.shape[1]
            if size[0] * size[1] * 3 * len(members) > MAX_VALUES:
                raise FormatError(
                    f"{len(members):,} pictures of {size[1]}x{size[0]} are more than "
                    f"{MAX_VALUES:,} values"
                )
        if picture.shape[:2] != size:
            height, width = picture.shape[:2]
            raise FormatError(
                f"{member.filename}: {width}x{height} pixels; all have one size, and "
                f"{members[0].filename} has {size[1]}x{size[0]}"
            )
        pictures.append(picture)
    if any(picture.ndim == 3 for picture in pictures):
        pictures = [p if p.ndim == 3 else np.repeat(p[..., None], 3, axis=2) for p in pictures]
    return np.stack(pictures)


def _picture(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[np.uint8]:
    """(H, W) of a grey picture, (H, W, 3) of any other; its size is known before it is unpacked."""
    from PIL import Image

    try:
        with (
            warnings.catch_warnings(),
            archive.open(member) as file,
            Image.open(file, formats=("PNG", "JPEG")) as image,
        ):
            warnings.simplefilter("ignore")
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise FormatError(
                    f"{member.filename}: at most {MAX_PIXELS:,} pixels, got {width}x{height}"
                )
            return np.asarray(image.convert("L" if image.mode in ("1", "L") else "RGB"))
    except FormatError:
        raise
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise FormatError(f"{member.filename}: not a picture that can be read: {error}") from None
