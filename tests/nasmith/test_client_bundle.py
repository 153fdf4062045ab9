"""A downloaded bundle is whole and stays inside its directory, or nothing is written."""

from __future__ import annotations

import hashlib
import io
import stat
import zipfile
from pathlib import Path

import pytest

from nasmith.bundle import BundleError, save_bundle

FILES = {"model.py": b"import torch\n", "weights/model.safetensors": bytes(range(256)) * 64}


def sums(files: dict[str, bytes]) -> bytes:
    lines = (f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items())
    return "".join(lines).encode()


def zipped(entries: dict[str, bytes] | list[tuple[zipfile.ZipInfo | str, bytes]]) -> bytes:
    pairs = list(entries.items()) if isinstance(entries, dict) else entries
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in pairs:
            archive.writestr(name, data)
    return buffer.getvalue()


def good() -> bytes:
    return zipped({**FILES, "SHA256SUMS": sums(FILES)})


def contents(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def test_a_whole_bundle_is_unpacked(tmp_path: Path) -> None:
    data = good()
    chunks = (data[start : start + 100] for start in range(0, len(data), 100))
    folder = save_bundle(chunks, tmp_path / "models" / "best")
    assert contents(folder) == {**FILES, "SHA256SUMS": sums(FILES)}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert [path.name for path in folder.parent.iterdir()] == ["best"]


def link() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


HOSTILE = {
    "climbs out": zipped({"../evil.py": b"", "SHA256SUMS": b""}),
    "climbs out inside": zipped({"a/../../evil.py": b"", "SHA256SUMS": b""}),
    "absolute": zipped({"/tmp/evil.py": b"", "SHA256SUMS": b""}),  # noqa: S108 - never written
    "drive": zipped({"C:evil.py": b"", "SHA256SUMS": b""}),
    "backslash": zipped({"..\\evil.py": b"", "SHA256SUMS": b""}),
    "link": zipped([(link(), b"/etc/passwd"), ("SHA256SUMS", b"")]),
    "bomb": zipped({"zeros": bytes(10_000_000), "SHA256SUMS": b""}),
    "too many": zipped({f"file{number}": b"" for number in range(1001)}),
    "no sums": zipped(FILES),
    "a file less": zipped({"model.py": FILES["model.py"], "SHA256SUMS": sums(FILES)}),
    "a file more": zipped({**FILES, "extra.py": b"", "SHA256SUMS": sums(FILES)}),
    "flipped bit": zipped({**FILES, "model.py": b"import torcj\n", "SHA256SUMS": sums(FILES)}),
    "cut off": good()[:-40],
    "no zip": b"<html>503</html>",
    "empty": b"",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_bad_bundle_leaves_nothing_behind(name: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError):
        save_bundle([HOSTILE[name]], tmp_path / "parent" / "best")
    assert contents(tmp_path) == {}


def test_a_broken_download_leaves_the_old_bundle(tmp_path: Path) -> None:
    folder = save_bundle([good()], tmp_path / "best")
    with pytest.raises(BundleError):
        save_bundle([good()[:-40]], folder, overwrite=True)
    assert contents(folder)["model.py"] == FILES["model.py"]


def test_only_an_older_bundle_is_replaced(tmp_path: Path) -> None:
    folder = save_bundle([good()], tmp_path / "best")
    with pytest.raises(FileExistsError, match="not empty"):
        save_bundle([good()], folder)
    newer = {"model.py": b"import torch  # newer\n"}
    save_bundle([zipped({**newer, "SHA256SUMS": sums(newer)})], folder, overwrite=True)
    assert contents(folder) == {**newer, "SHA256SUMS": sums(newer)}

    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "diary.txt").write_text("dear diary")
    with pytest.raises(FileExistsError, match="something else"):
        save_bundle([good()], notes, overwrite=True)
    assert (notes / "diary.txt").read_text() == "dear diary"


def test_an_empty_directory_is_filled(tmp_path: Path) -> None:
    (tmp_path / "best").mkdir()
    assert (save_bundle([good()], tmp_path / "best") / "model.py").is_file()
