"""Pictures of strangers as arrays: what a person sees, whatever the file's mode."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF")
ENDINGS = (
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm",
    ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".avif",
)  # fmt: skip
OTHER_ENDINGS = (
    ".heic", ".heif", ".svg", ".psd", ".dcm", ".tga", ".ico", ".cr2", ".nef", ".dng",
)  # fmt: skip
"""Of pictures that are not read: they count as such, and are told as broken."""

MAX_PIXELS = 2**26
"""More than any telephone's camera has."""

Picture = NDArray[Any]
"""(H, W) of a grey picture, (H, W, 3) of any other, or of either (H, W, 4) where alpha is wanted;
uint8, or of 16 bits float32 in 0..255.
"""


class PictureError(ValueError):
    """A file that shows no picture, or too large a one."""


def read_picture(file: IO[bytes], with_alpha: bool = False) -> Picture:
    """The first frame, turned as its camera says, on white where it is transparent; or with its
    alpha as the fourth channel, 255 where it has none.

    Raises:
        PictureError: with what is wrong; its size is looked at before it is unpacked.
    """
    with opened_picture(file) as image:
        return seen_picture(image, with_alpha)


def seen_picture(image: Any, with_alpha: bool = False) -> Picture:
    """The same of a picture that Pillow has opened."""
    from PIL import ImageOps

    if image.mode == "F" or (image.mode == "I" and image.format == "TIFF"):
        raise PictureError("pixels of 32 bits, whose scale no file says; an .npz has such as x")
    image.load()
    turned = ImageOps.exif_transpose(image)
    return _array_with_alpha(turned) if with_alpha else _array(turned)


@contextmanager
def opened_picture(file: IO[bytes]) -> Iterator[Any]:
    """As Pillow has it, before it is unpacked.

    Raises:
        PictureError: no picture, or too large a one; also of what is done with it.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            Image.init()  # of the formats those that this Pillow has
            with Image.open(
                file, formats=[name for name in FORMATS if name in Image.OPEN]
            ) as image:
                width, height = image.size
                if width * height > MAX_PIXELS:
                    raise PictureError(f"at most {MAX_PIXELS:,} pixels, got {width}x{height}")
                yield image
    except PictureError:
        raise
    except UnidentifiedImageError:  # which names an object
        raise PictureError(f"not a picture: its content is none of {', '.join(FORMATS)}") from None
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise PictureError(f"not a picture that can be read: {error}") from None


def _array(image: Any) -> Picture:
    from PIL import Image

    if image.mode.startswith("I") or image.mode == "F":  # 16 bits, of one channel
        return np.asarray(image, dtype=np.float32) / np.float32(257)
    if image.mode in ("LA", "La", "RGBA", "RGBa", "PA") or "transparency" in image.info:
        is_grey = image.mode in ("LA", "La", "L", "1")
        colour = image.convert("RGBA")
        white = Image.new("RGBA", colour.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, colour).convert("L" if is_grey else "RGB")
    return np.asarray(image.convert("L" if image.mode in ("1", "L") else "RGB"))


def _array_with_alpha(image: Any) -> Picture:
    if image.mode.startswith("I") or image.mode == "F":  # 16 bits, of one channel
        grey = _array(image)
        return np.stack([grey, grey, grey, np.full_like(grey, 255)], axis=2)
    return np.asarray(image.convert("RGBA"))


def fitted(picture: Picture, height: int, width: int) -> Picture:
    """The picture in another size: scaled to fit, its edges repeated to fill the rest."""
    from PIL import Image

    rows, columns = picture.shape[:2]
    if (rows, columns) == (height, width):
        return picture
    scale = min(height / rows, width / columns)
    inner = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    if picture.dtype == np.uint8:
        scaled = np.asarray(Image.fromarray(picture).resize(inner, Image.Resampling.BILINEAR))
    elif picture.ndim == 3:  # mode F has one channel
        channels = [fitted(channel, height, width) for channel in np.moveaxis(picture, 2, 0)]
        return np.stack(channels, axis=2)
    else:
        image = Image.fromarray(np.ascontiguousarray(picture))  # mode F
        scaled = np.asarray(image.resize(inner, Image.Resampling.BILINEAR), dtype=np.float32)
    top, left = (height - inner[1]) // 2, (width - inner[0]) // 2
    edges = [(top, height - inner[1] - top), (left, width - inner[0] - left)]
    return np.pad(scaled, [*edges, *[(0, 0)] * (scaled.ndim - 2)], mode="edge")


def stacked(pictures: list[Picture]) -> Picture:
    """Pictures of one size as one array; grey ones become colour beside colour, all of them floats
    beside 16 bits.

    Shapes:
        (N, H, W), (N, H, W, 3), or (N, H, W, 4)
    """
    if any(picture.ndim == 3 for picture in pictures):
        pictures = [p if p.ndim == 3 else np.repeat(p[..., None], 3, axis=2) for p in pictures]
    exact = any(picture.dtype != np.uint8 for picture in pictures)
    return np.stack([p.astype(np.float32) if exact else p for p in pictures])
