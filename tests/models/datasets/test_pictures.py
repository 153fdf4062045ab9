"""Pictures as people have them, beside what Pillow and a spreadsheet of colours say."""

from __future__ import annotations

import io
import struct
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from models.datasets import Dataset
from models.datasets.formats import FormatError
from models.datasets.picture_headers import read_header
from models.datasets.pictures import PictureError, fitted, read_picture
from models.datasets.splits import PARTS
from models.remarks import Remark, Role
from tests.models.support.uploads import npz, read

TASK = "image_classification"
RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (6, 8), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (6, 8, 3), dtype=np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def shown(content: bytes) -> NDArray[Any]:
    return read_picture(io.BytesIO(content))


def test_grey_and_colour_are_as_they_are() -> None:
    np.testing.assert_array_equal(shown(encoded(Image.fromarray(GREY))), GREY)
    for kind in ("PNG", "BMP"):
        np.testing.assert_array_equal(shown(encoded(Image.fromarray(COLOUR), kind)), COLOUR)
    webp = shown(encoded(Image.fromarray(COLOUR), "WEBP", lossless=True))
    np.testing.assert_array_equal(webp, COLOUR)


def test_pictures_of_scanners_and_microscopes_are_as_they_are() -> None:
    colour, grey = Image.fromarray(COLOUR), Image.fromarray(GREY.astype(np.uint16) * 257)
    for kind in ("TIFF", "PPM", "JPEG2000"):
        np.testing.assert_array_equal(shown(encoded(colour, kind)), COLOUR)
    for packed in ({}, {"compression": "tiff_lzw"}, {"compression": "tiff_adobe_deflate"}):
        np.testing.assert_array_equal(shown(encoded(colour, "TIFF", **packed)), COLOUR)
        np.testing.assert_allclose(shown(encoded(grey, "TIFF", **packed)), GREY, rtol=1e-6)
    for kind in (np.float32, np.int32):
        with pytest.raises(PictureError, match="pixels of 32 bits, whose scale no file says"):
            shown(encoded(Image.fromarray(GREY.astype(kind)), "TIFF"))


def test_a_picture_of_a_scanner_is_turned_once(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    tall = encoded(Image.fromarray(COLOUR), "TIFF", exif=exif)
    np.testing.assert_array_equal(shown(tall), np.rot90(COLOUR, -1))
    with io.BytesIO(tall) as file:
        assert read_header(file).size == (8, 6)


def test_sixteen_bits_keep_their_steps() -> None:
    deep = GREY.astype(np.uint16) * 257
    deep[0, :4] = (0, 100, 1000, 65535)
    found = shown(encoded(Image.fromarray(deep)))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, deep / 257.0, rtol=1e-6)


def test_what_is_transparent_lies_on_white() -> None:
    alpha = np.zeros((6, 8), dtype=np.uint8)
    alpha[:, :4] = 255
    seen = shown(encoded(Image.fromarray(np.dstack([COLOUR, alpha]))))
    np.testing.assert_array_equal(seen[:, :4], COLOUR[:, :4])
    assert (seen[:, 4:] == 255).all()
    grey = shown(encoded(Image.fromarray(np.dstack([GREY, alpha]))))
    assert grey.ndim == 2 and (grey[:, 4:] == 255).all()
    np.testing.assert_array_equal(grey[:, :4], GREY[:, :4])
    palette = Image.fromarray(COLOUR).quantize(8)
    clear = shown(encoded(palette, transparency=int(np.asarray(palette)[0, 0])))
    assert (clear[0, 0] == 255).all()


def test_a_palette_and_print_colours_become_colours() -> None:
    palette = Image.fromarray(COLOUR).quantize(16)
    np.testing.assert_array_equal(shown(encoded(palette)), np.asarray(palette.convert("RGB")))
    np.testing.assert_array_equal(
        shown(encoded(palette, "GIF")), np.asarray(palette.convert("RGB"))
    )
    ink = Image.fromarray(np.full((6, 8, 3), (200, 30, 30), np.uint8)).convert("CMYK")
    found = shown(encoded(ink, "JPEG", quality=100))
    assert np.abs(found.astype(int) - (200, 30, 30)).max() < 12


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_its_camera_says(orientation: int) -> None:
    upright = np.kron(
        np.array([[0, 80, 160], [240, 200, 120]], np.uint8), np.ones((8, 8), np.uint8)
    )
    turns = {  # how the camera held it: the stored picture of each orientation
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.T, 6: np.rot90(upright), 7: np.rot90(upright, 2).T, 8: np.rot90(upright, -1),
    }  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(turns[orientation]))
    np.testing.assert_array_equal(shown(encoded(stored, exif=exif)), upright)


def test_a_picture_keeps_its_shape_in_another_size() -> None:
    square = fitted(np.full((10, 20), 7, np.uint8), 8, 8)
    assert square.shape == (8, 8) and (square == 7).all()
    half = np.zeros((4, 8), np.uint8)
    half[:, 4:] = 200
    found = fitted(half, 8, 8)
    assert (found[:, 0] == 0).all() and (found[:, -1] == 200).all()
    deep = fitted(half.astype(np.float32) + 0.5, 2, 4)
    assert deep.dtype == np.float32 and deep[0, 0] == 0.5


def test_transparency_is_a_channel_where_it_is_wanted() -> None:
    alpha = np.full((6, 8), 255, np.uint8)
    alpha[:, 4:] = 40
    whole = encoded(Image.fromarray(np.dstack([COLOUR, alpha])))
    found = read_picture(io.BytesIO(whole), with_alpha=True)
    np.testing.assert_array_equal(found, np.dstack([COLOUR, alpha]))
    grey = read_picture(io.BytesIO(encoded(Image.fromarray(GREY))), with_alpha=True)
    np.testing.assert_array_equal(grey, np.dstack([GREY] * 3 + [np.full_like(GREY, 255)]))
    deep = Image.fromarray(np.full((4, 8), 257 * 100 + 128, np.uint16))
    steps = read_picture(io.BytesIO(encoded(deep)), with_alpha=True)
    assert steps.dtype == np.float32 and steps[0, 0, 3] == 255
    assert steps[0, 0, 0] == pytest.approx(100 + 128 / 257)
    assert fitted(steps, 2, 4).shape == (2, 4, 4)
    edge = np.zeros((4, 8, 4), np.uint8)  # clear black beside full white: no grey between them
    edge[:, 4:] = 255
    seen = fitted(edge, 4, 4)
    assert (seen[seen[..., 3] > 0][:, :3] == 255).all()


def zipped(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def pictures(
    folder: str, count: int, shade: int, size: tuple[int, int] = (8, 8)
) -> dict[str, bytes]:
    found = {}
    for number in range(count):
        pixels = RNG.integers(shade, shade + 50, size, dtype=np.uint8)
        found[f"{folder}/{number}.png"] = encoded(Image.fromarray(pixels))
    return found


TWO = {**pictures("dark", 20, 0), **pictures("light", 20, 200)}


def remark(found: Dataset, code: str) -> Remark:
    (one,) = [remark for remark in found.remarks if remark.code == code]
    return one


@pytest.mark.parametrize("names", [("train", "val", "test"), ("Training", "valid", "Testing")])
def test_folders_that_divide_the_pictures_are_kept(tmp_path: Path, names: tuple[str, ...]) -> None:
    files: dict[str, bytes] = {}
    for name, count in zip(names, (12, 5, 4), strict=True):
        files |= pictures(f"set/{name}/a", count, 0) | pictures(f"set/{name}/b", count, 200)
    found = read(tmp_path, zipped(files), TASK)
    assert found.sizes == {"train": 24, "validation": 10, "test": 8}
    part = {n: c for n, c in files.items() if names[1] not in n}
    drawn = read(tmp_path, zipped(part), TASK)
    assert drawn.sizes["test"] == 8 and drawn.sizes["train"] + drawn.sizes["validation"] == 24
    without = {n: c for n, c in files.items() if names[2] not in n}
    assert read(tmp_path, zipped(without), TASK).sizes["validation"] == 10


def test_files_of_systems_and_programs_are_passed_over_and_told(tmp_path: Path) -> None:
    more = {"dark/Thumbs.db": b"x", "__MACOSX/dark/._1.png": b"x", ".DS_Store": b"x",
            "README.txt": b"x", "light/desktop.ini": b"x"}  # fmt: skip
    found = read(tmp_path, zipped({**TWO, **more}), TASK)
    assert sum(found.sizes.values()) == 40 and remark(found, "files_ignored").count == 5


def test_back_slashes_of_older_programs_are_folders(tmp_path: Path) -> None:
    content = zipped(TWO).replace(b"dark/", b"dark\\").replace(b"light/", b"light\\")
    assert (
        read(tmp_path, content, TASK).fingerprint == read(tmp_path, zipped(TWO), TASK).fingerprint
    )
    with pytest.raises(FormatError, match="points out of the zip"):
        read(tmp_path, zipped({**TWO, "..\\..\\dark\\1.png": b"x"}), TASK)


def test_a_few_broken_pictures_are_left_out_and_told_all_at_once(tmp_path: Path) -> None:
    bad = {"dark/bad.png": b"no picture", "light/cut.png": TWO["light/0.png"][:60]}
    found = read(tmp_path, zipped({**TWO, **bad}), TASK)
    told = remark(found, "broken_pictures")
    assert told.count == 2 and "dark/bad.png" in told.message and "light/cut.png" in told.message
    worse = {f"dark/bad{i}.png": b"no picture" for i in range(5)}
    with pytest.raises(FormatError, match=r"5 of 45 pictures cannot be read.*bad0.*bad4"):
        read(tmp_path, zipped({**TWO, **worse}), TASK)


def test_sizes_are_made_one_and_told(tmp_path: Path) -> None:
    files = {**TWO, **pictures("light/more", 0, 0), "light/wide.png": encoded(
        Image.fromarray(np.full((8, 30), 230, np.uint8)))}  # fmt: skip
    found = read(tmp_path, zipped(files), TASK)
    assert found.task.input_shape == (1, 8, 8)
    assert remark(found, "mixed_sizes").count == 1
    smaller = read(tmp_path, zipped(TWO), TASK, size=[4, 6])
    assert smaller.task.input_shape == (1, 4, 6) and remark(smaller, "resized").count == 40
    with pytest.raises(ValueError, match="height and width are two numbers"):
        read(tmp_path, zipped(TWO), TASK, size=[1, 2, 3])


def test_equal_pictures_are_in_one_split(tmp_path: Path) -> None:
    files = {f"{name}-{copy}.png": content for name, content in TWO.items() for copy in range(3)}
    found = read(tmp_path, zipped({n.replace(".png-", "-"): c for n, c in files.items()}), TASK)
    assert remark(found, "duplicates").count == 80
    seen = [{x.numpy().tobytes() for x in split.x} for split in
            (found.train, found.validation, found.test)]  # fmt: skip
    assert not seen[0] & seen[1] and not seen[0] & seen[2] and not seen[1] & seen[2]


def test_arrays_that_divide_the_pictures_are_kept_and_strange_ones_refused(tmp_path: Path) -> None:
    x = RNG.integers(0, 255, (60, 5, 5), dtype=np.uint8)
    y = np.arange(60) % 2
    parts = {"x": x[:30], "y": y[:30], "x_valid": x[30:40], "y_valid": y[30:40],
             "x_test": x[40:], "y_test": y[40:]}  # fmt: skip
    found = read(tmp_path, npz(**parts), TASK)
    assert found.sizes == {"train": 30, "validation": 10, "test": 20}
    parts = {"x": x[:40], "y": y[:40], "x_test": x[40:], "y_test": y[40:]}
    assert read(tmp_path, npz(**parts), TASK).sizes["test"] == 20
    with pytest.raises(ValueError, match=r"unknown array 'holdout'; expected is .*x_val"):
        read(tmp_path, npz(x=x, y=y, holdout=x), TASK)
    with pytest.raises(ValueError, match="x_test and y_test come together"):
        read(tmp_path, npz(x=x, y=y, x_test=x), TASK)


def codes(found: Dataset) -> dict[str, int | None]:
    left = ("few_samples", "duplicates")
    return {r.code: r.count for r in found.remarks if r.code not in left}


def test_what_a_person_may_not_expect_of_a_picture_is_told(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    colour = Image.fromarray(COLOUR[:6, :6])
    frames = {"save_all": True, "append_images": [colour.rotate(90)]}
    clear = np.dstack([COLOUR[:6, :6], GREY[:6, :6]])
    more = {
        "dark/turned.JFIF": encoded(colour, "JPEG", exif=turned),
        "dark/moves.gif": encoded(colour, "GIF", **frames),
        "light/moves.webp": encoded(colour, "WEBP", **frames),
        "light/clear.png": encoded(Image.fromarray(clear)),
        "dark/deep.png": deep_colour(COLOUR[:6, :6].astype(np.uint16) * 257),
    }
    found = read(tmp_path, zipped({**TWO, **more}), TASK, size=6)
    assert sum(found.sizes.values()) == 45
    assert codes(found) == {
        "turned_pictures": 1,
        "first_frames": 2,
        "transparent_pictures": 1,
        "bits_left_out": 1,
        "grey_beside_colour": 40,
        "resized": 40,
    }
    assert codes(read(tmp_path, zipped(TWO), TASK)) == {}


def deep_colour(pixels: NDArray[np.uint16]) -> bytes:
    """A PNG of 16 bits a colour, which Pillow reads and does not write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", pixels.shape[1], len(pixels), 16, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def unsaid(content: bytes) -> bytes:
    """A zip whose entries do not say that their names are UTF-8."""
    changed = bytearray(content)
    for sign, place in ((b"PK\x03\x04", 7), (b"PK\x01\x02", 9)):
        start = content.find(sign)
        while start >= 0:
            changed[start + place] &= ~0x08
            start = content.find(sign, start + 4)
    return bytes(changed)


def test_classes_are_called_as_in_any_zip_of_them(tmp_path: Path) -> None:
    names = {n.replace("dark", "caf\u00e9").replace("light", "日本"): c for n, c in TWO.items()}
    for content in (zipped(names), unsaid(zipped(names))):
        found = read(tmp_path, content, TASK)
        assert found.preprocessing["classes"] == ["caf\u00e9", "日本"]
    assert codes(found) == {"encoding_guessed": 40}
    dos = {n.replace("dark", "@@@@").replace("light", "hell"): c for n, c in TWO.items()}
    found = read(tmp_path, zipped(dos).replace(b"@@@@", "süß ".encode("cp437")), TASK)
    assert found.preprocessing["classes"] == ["hell", "süß "]  # as DOS wrote them
    assert codes(found) == {"encoding_guessed": 20}
    apart = {f"train/{n}": c for n, c in names.items()}
    apart |= {"test/" + n.replace("é", "e\u0301"): c for n, c in names.items()}
    assert read(tmp_path, zipped(apart), TASK).sizes["test"] == 40


def test_folders_without_a_picture_are_no_class_and_told(tmp_path: Path) -> None:
    more = {"none/": b"", "scans/1.tif": b"x", ".ipynb_checkpoints/1.png": TWO["dark/0.png"],
            "dark/.ipynb_checkpoints/1.png": TWO["dark/0.png"]}  # fmt: skip
    found = read(tmp_path, zipped({f"set/{n}": c for n, c in (TWO | more).items()}), TASK)
    assert found.preprocessing["classes"] == ["dark", "light"]
    assert codes(found) == {"files_ignored": 2, "empty_folders": 2, "broken_pictures": 1}
    assert "set/none, set/scans" in remark(found, "empty_folders").message


@pytest.mark.parametrize(
    ("folders", "sizes"),
    [
        (("train_set", "Test-Set"), (32, 8, 40)),
        (("train2017", "val2017"), (32, 40, 8)),
        (("TRAIN", "Evaluation"), (32, 40, 8)),
    ],
)
def test_parts_are_known_as_people_write_them(
    folders: tuple[str, str], sizes: tuple[int, int, int], tmp_path: Path
) -> None:
    files = {f"{folder}/{name}": content for folder in folders for name, content in TWO.items()}
    assert tuple(read(tmp_path, zipped(files), TASK).sizes.values()) == sizes


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({f"{p}/{n}": c for p in ("train", "vaild") for n, c in TWO.items()},
         "folder vaild is no part of a split; known are train"),
        ({"top/cover.png": b"", **{f"top/{n}": c for n, c in TWO.items()}}, "top/cover.png: a pic"),
        ({**TWO, "dark/more/1.png": TWO["dark/0.png"]}, "dark/more/1.png: a picture"),
    ],
)  # fmt: skip
def test_a_refusal_names_the_folder_at_fault(
    files: dict[str, bytes], message: str, tmp_path: Path
) -> None:
    broken = {name: content or TWO["dark/0.png"] for name, content in files.items()}
    with pytest.raises(FormatError, match=message):
        read(tmp_path, zipped(broken), TASK)


FLAT = {f"{number}.png": content for number, content in enumerate(TWO.values())}
ROWS = [f"{number},{'dark' if number < 20 else 'light'}" for number in range(40)]


def listed(rows: list[str], header: str = "id,kind") -> bytes:
    return "\n".join([header, *rows]).encode()


@pytest.mark.parametrize(
    "files",
    [
        {**FLAT, "labels.csv": listed([row.replace(",", ".png,") for row in ROWS])},
        {**FLAT, "labels.csv": listed(ROWS)},  # names without their ending
        {**{f"images/{n}": c for n, c in FLAT.items()}, "truth.csv": listed(ROWS[::-1])},
        {**{f"top/train/{n}": c for n, c in FLAT.items()}, "top/train.csv": listed(ROWS)},
    ],
)
def test_a_table_beside_the_pictures_says_their_classes(
    files: dict[str, bytes], tmp_path: Path
) -> None:
    found = read(tmp_path, zipped(files), TASK)
    assert found.preprocessing["classes"] == ["dark", "light"]
    for split in (found.train, found.validation, found.test):
        assert isinstance(split.x, torch.Tensor)
        is_light = split.x.mean(dim=(1, 2, 3)) > 0
        assert is_light.long().tolist() == split.y.tolist()
    assert [(column.name, column.role) for column in found.columns] == [
        ("id", Role.INPUT),
        ("kind", Role.TARGET),
    ]


@pytest.mark.parametrize("prefix", ["/data/pictures/", "C:\\Users\\me\\", "of/another/zip/"])
def test_paths_of_another_computer_are_known_by_their_ends(prefix: str, tmp_path: Path) -> None:
    plain = read(tmp_path, zipped({**FLAT, "labels.csv": listed(ROWS)}), TASK)
    elsewhere = listed([prefix + row.replace(",", ".png,") for row in ROWS])
    found = read(tmp_path, zipped({**FLAT, "labels.csv": elsewhere}), TASK)
    assert found.fingerprint == plain.fingerprint
    said = remark(found, "folders_left_out")
    assert (said.where, said.count) == ("id", 40)
    assert prefix.replace("\\", "/").rstrip("/") in said.message
    mixed = listed([prefix + ROWS[0], "other/" + ROWS[1]])
    with pytest.raises(FormatError, match=r"no column has the names .* called 0.png, 0, 1.png"):
        read(tmp_path, zipped({**FLAT, "labels.csv": mixed}), TASK)


PATIENTS = {f"{n}.png": encoded(Image.fromarray(np.full((4, 4), 6 * n, "u1"))) for n in range(40)}


def numbers_in(split: Any, found: Dataset) -> set[int]:
    """Of `PATIENTS`, each of which is as bright as its number."""
    scale, _, spread = found.preprocessing["steps"]
    levels = (split.x.double() * spread["std"][0] + spread["mean"][0]) / scale["factor"]
    return set((levels.mean(dim=(1, 2, 3)) / 6).round().int().tolist())


def test_a_column_beside_the_classes_divides_the_pictures(tmp_path: Path) -> None:
    part = ["train", "Val", "TEST", "train"]
    rows = [f"{n},{'ab'[n % 2]},{part[n // 10]}" for n in range(40)]
    table = listed(rows, "id,kind,set")
    found = read(tmp_path, zipped({**PATIENTS, "labels.csv": table}), TASK, split_column="set")
    parts = [numbers_in(split, found) for split in (found.train, found.validation, found.test)]
    assert parts == [{*range(10), *range(30, 40)}, {*range(10, 20)}, {*range(20, 30)}]
    assert found.columns[2].role is Role.IGNORED
    divided = {
        f"{['train', 'test'][n % 2]}/{name}": c for n, (name, c) in enumerate(PATIENTS.items())
    }
    with pytest.raises(FormatError, match="the folders test, train divide the pictures already"):
        read(tmp_path, zipped({**divided, "labels.csv": table}), TASK, split_column="set")


@pytest.mark.parametrize("options", [{}, {"validation": {"folds": 2}}])
def test_pictures_of_one_patient_are_in_one_split(options: Any, tmp_path: Path) -> None:
    table = listed([f"{n},{'ab'[n % 2]},p{n // 4}" for n in range(40)], "id,kind,patient")
    files = {**PATIENTS, "labels.csv": table}
    found = read(tmp_path, zipped(files), TASK, group_column="patient", **options)
    parts = [numbers_in(split, found) for split in (found.train, found.validation, found.test)]
    patients = [{number // 4 for number in part} for part in parts]
    assert set.union(*parts) == set(range(40))
    assert sum(map(len, patients)) == 10 and remark(found, "groups").count == 10
    for fold in found.folds:
        of_fold = [
            numbers_in(s, replace(found, preprocessing=fold.preprocessing))
            for s in (fold.train, fold.validation)
        ]
        assert not {n // 4 for n in of_fold[0]} & {n // 4 for n in of_fold[1]}


def test_two_pictures_of_one_name_are_refused(tmp_path: Path) -> None:
    """In a zip that was added to, and where a name is composed in two ways."""
    for again in ("dark/0.png", "da\u0301rk/0.png"):
        buffer = io.BytesIO(zipped({**TWO, "d\u00e1rk/0.png": TWO["dark/0.png"]}))
        with warnings.catch_warnings(), zipfile.ZipFile(buffer, "a") as archive:
            warnings.simplefilter("ignore")
            archive.writestr(again, TWO["dark/1.png"])
        with pytest.raises(FormatError, match=r"rk/0.png' is in the zip twice"):
            read(tmp_path, buffer.getvalue(), TASK)


def test_folders_of_other_languages_divide_what_has_the_same_classes(tmp_path: Path) -> None:
    parts = ("Training", "Pr\u00fcfung", "Validierung")
    files = {f"{parts[i % 3]}/{n}": c for i, (n, c) in enumerate(TWO.items())}
    found = read(tmp_path, zipped(files), TASK)
    assert {n: found.sizes[n] for n in PARTS} == {"train": 14, "validation": 13, "test": 13}
    assert "Pr\u00fcfung is test" in remark(found, "split_guessed").message
    apart = {n.replace("dark", "fit").replace("light", "prueba"): c for n, c in TWO.items()}
    classes = read(tmp_path, zipped(apart), TASK).preprocessing["classes"]
    assert "fit" in classes, "as no class is in two of them"
    flat = {f"{parts[i % 3]}/{i}.png": c for i, c in enumerate(FLAT.values())}
    of_table = read(tmp_path, zipped({**flat, "labels.csv": listed(ROWS)}), TASK)
    assert of_table.sizes["test"] == 13


@pytest.mark.parametrize(
    "table",
    [
        listed([row.replace(",", ".jpg,") for row in ROWS]),
        listed([row.replace(",", ".PNG,") for row in ROWS]),
        listed([row.replace(",", ".png,") for row in ROWS[1:]], ROWS[0].replace(",", ".png,")),
    ],
)
def test_names_of_a_table_are_known_by_other_endings_and_without_a_header(
    table: bytes, tmp_path: Path
) -> None:
    plain = read(tmp_path, zipped({**FLAT, "labels.csv": listed(ROWS)}), TASK)
    found = read(tmp_path, zipped({**FLAT, "labels.tsv": table.replace(b",", b"\t")}), TASK)
    assert found.fingerprint == plain.fingerprint
    assert {r.code for r in found.remarks} & {"pictures_matched", "header_guessed"}


@pytest.mark.parametrize("name", ["{:05}.png", "img/scan_{:03}.png"])
def test_numbers_of_a_table_may_lack_the_zeros_of_names(name: str, tmp_path: Path) -> None:
    plain = read(tmp_path, zipped({**FLAT, "labels.csv": listed(ROWS)}), TASK)
    padded = {name.format(i): FLAT[f"{i}.png"] for i in range(len(FLAT))}
    for rows in (ROWS, [row.replace(",", ".0,") for row in ROWS]):
        found = read(tmp_path, zipped({**padded, "labels.csv": listed(rows)}), TASK)
        assert remark(found, "pictures_matched").where == "id"
        assert sorted(found.test.y.tolist()) == sorted(plain.test.y.tolist())
    with pytest.raises(FormatError, match="names no picture"):
        read(tmp_path, zipped({**padded, "labels.csv": listed([*ROWS, "77,dark"])}), TASK)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({**FLAT, "labels.csv": listed(ROWS[:-1])}, "1 of 40 pictures have no row in labels.csv"),
        ({**FLAT, "labels.csv": listed([*ROWS[:-1], "39,"])}, "row 41, column 'kind': the class"),
        ({**FLAT, "labels.csv": listed([*ROWS, "77,dark"])}, "row 42: '77' names no picture"),
        ({**FLAT, "labels.csv": listed(["a,b", "c,d"])}, "no column has the names of pictures"),
        ({**FLAT, "a.csv": listed(ROWS), "b.csv": listed(ROWS)}, "one labels.csv, or one CSV or"),
        (FLAT, "0.png: a picture lies in the folder of its class, .* or a labels.csv has a row"),
        ({f"train/{n}": c for n, c in FLAT.items()}, "all pictures are in one folder, 'train'"),
        ({**TWO, **{n.replace("dark", "c")[:-3] + "tif": b"II" for n in [*TWO][:20]}},
         "20 of 60 pictures cannot be read, more than 5%: c/0.tif, c/1.*.tif: not a picture: its"),
    ],
)  # fmt: skip
def test_a_zip_without_clear_classes_is_refused(
    files: dict[str, bytes], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        read(tmp_path, zipped(files), TASK)


def test_a_file_that_is_no_picture_is_told_in_plain_words(tmp_path: Path) -> None:
    found = read(tmp_path, zipped({**TWO, "dark/none.png": b""}), TASK)
    said = remark(found, "broken_pictures").message
    assert said.endswith("dark/none.png: not a picture: its content is none of PNG, JPEG, WEBP, "
                         "BMP, GIF, TIFF, PPM, JPEG2000, AVIF")  # fmt: skip
