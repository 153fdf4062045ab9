"""A downloaded bundle is whole and stays inside its directory, or nothing is written."""

from __future__ import annotations

import hashlib
import io
import stat
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
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


DOWNLOAD = """
    import sys
    from pathlib import Path
    import nasmith.bundle
    data = Path(sys.argv[1]).read_bytes()

    def chunks():
        yield data[:100]
        print("begun", flush=True)
        sys.stdin.readline()
        yield data[100:]

    def replaced(source, target):
        if sys.argv[3] == "between" and Path(source).name == "bundle":  # the old one is away
            print("moved", flush=True)
            sys.stdin.readline()
        rename(source, target)

    rename, nasmith.bundle.os.replace = nasmith.bundle.os.replace, replaced
    nasmith.bundle.save_bundle(chunks(), Path(sys.argv[2]), overwrite=True)
"""


@contextmanager
def downloading(folder: Path, data: bytes, stop: str = "") -> Iterator[subprocess.Popen[str]]:
    """A process that has begun a download and waits; killed at the end."""
    archive = folder.parent.parent / "sent.zip"
    archive.write_bytes(data)
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(DOWNLOAD), archive, folder, stop],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == "begun\n"
        yield process
        process.kill()


def go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_a_killed_download_left_goes_with_the_next(tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    (models / ".nasmith-mine").mkdir()  # not one of these, whoever made it
    with downloading(models / "best", good()):
        pass
    assert [name for name in names(models) if name.endswith(".tmp")]
    save_bundle([good()], models / "other")
    assert names(models) == [".nasmith-mine", "other"]


def test_a_download_that_lives_is_left_alone(tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    with downloading(models / "best", good()) as process:
        save_bundle([good()], models / "other")
        go_on(process)
        assert process.wait() == 0
    assert names(models) == ["best", "other"]
    assert contents(models / "best") == {**FILES, "SHA256SUMS": sums(FILES)}


def test_a_bundle_that_was_to_be_replaced_comes_back(tmp_path: Path) -> None:
    """Killed when the old one is away and the new one is not there yet."""
    models = tmp_path / "models"
    save_bundle([good()], models / "best")
    newer = {"model.py": b"import torch  # newer\n"}
    data = zipped({**newer, "SHA256SUMS": sums(newer)})
    with downloading(models / "best", data, "between") as process:
        go_on(process)
        assert process.stdout is not None and process.stdout.readline() == "moved\n"
    assert "best" not in names(models)
    save_bundle([good()], models / "other")
    assert names(models) == ["best", "other"]
    assert contents(models / "best") == {**FILES, "SHA256SUMS": sums(FILES)}


def test_an_empty_directory_is_filled(tmp_path: Path) -> None:
    (tmp_path / "best").mkdir()
    assert (save_bundle([good()], tmp_path / "best") / "model.py").is_file()
