"""What the headers of pictures say, before any is unpacked, and what is told of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO

from models.datasets.pictures import opened_picture
from models.remarks import Remark

_ORIENTATION = 0x0112


@dataclass(frozen=True, slots=True)
class Header:
    """`size`: height and width, turned as the camera says. `is_deep`: of 16 bits a channel, of
    which 8 are read, as there are several.
    """

    size: tuple[int, int]
    is_turned: bool
    is_animated: bool
    has_alpha: bool
    is_deep: bool


def read_header(file: IO[bytes]) -> Header:
    """
    Raises:
        PictureError: no picture, or too large a one.
    """
    with opened_picture(file) as image:
        width, height = image.size
        rawmodes = str(image.tile)  # before `getexif`, which may unpack the picture
        orientation = image.getexif().get(_ORIENTATION, 1)
        is_lying = orientation in (5, 6, 7, 8) and image.format != "TIFF"  # which Pillow turns
        return Header(
            (width, height) if is_lying else (height, width),
            is_turned=orientation in range(2, 9),
            is_animated=getattr(image, "is_animated", False),
            has_alpha=image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info,
            is_deep=image.mode in ("RGB", "RGBA") and ";16" in rawmodes,
        )


def of_headers(headers: Mapping[str, Header], *, keeps_alpha: bool) -> Iterator[Remark]:
    """What a person may not expect of pictures, by name."""
    seen = "" if keeps_alpha else " and are seen on white; channels=4 keeps it"
    told = {
        "turned_pictures": ("is_turned", "were turned upright, as their camera says"),
        "first_frames": ("is_animated", "have several frames or pages, of which the first is seen"),
        "transparent_pictures": ("has_alpha", f"have transparency{seen}"),
        "bits_left_out": ("is_deep", "have 16 bits a colour, of which 8 are read"),
    }
    for code, (field, message) in told.items():
        names = [name for name, header in headers.items() if getattr(header, field)]
        if names:
            message = f"{len(names)} of {len(headers)} pictures {message}"
            yield Remark(code, message, names[0], len(names))
