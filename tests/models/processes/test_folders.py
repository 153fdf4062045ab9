from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from models.processes.folders import OwnedFolder, WorkFolder, sweep, temporary_folder

HOLD = """
import sys, time
from pathlib import Path
from models.processes.folders import temporary_folder
with temporary_folder("test", Path(sys.argv[1])) as folder:
    (folder / "below").mkdir()
    (folder / "below" / "file").write_text("left")
    print(folder, flush=True)
    time.sleep(600)
"""


def test_a_folder_is_there_for_the_block_and_for_its_owner_alone(tmp_path: Path) -> None:
    with temporary_folder("test", tmp_path) as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "file").touch()
        sweep(tmp_path)
        assert (folder / "file").exists()
    assert list(tmp_path.iterdir()) == []


def test_a_work_folder_stands_for_the_one_of_the_system_until_it_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("TMPDIR", raising=False)
    folder = WorkFolder("test")
    code = "import tempfile; print(tempfile.mkdtemp())"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    left = [Path(child.stdout.strip()), Path(tempfile.mkdtemp())]
    assert [path.parent for path in left] == [folder.path] * 2
    assert WorkFolder.outside() == folder.path.parent == tmp_path
    sweep()
    assert folder.path.exists()
    folder.remove()
    assert list(tmp_path.iterdir()) == []
    assert tempfile.gettempdir() == str(tmp_path) and "TMPDIR" not in os.environ
    assert WorkFolder.outside() == tmp_path


def test_what_a_killed_owner_left_is_swept(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        folder = Path(owner.stdout.readline().strip())
        sweep(tmp_path)
        assert (folder / "below" / "file").exists()
        owner.kill()
    assert (folder / "below" / "file").exists()
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_child_that_was_given_the_lock_is_an_owner_too(tmp_path: Path) -> None:
    folder = OwnedFolder("test", tmp_path)
    child = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[folder.lock]
    )
    os.close(folder.lock)
    sweep(tmp_path)
    assert folder.path.exists()
    child.communicate()
    sweep(tmp_path)
    assert not folder.path.exists()


@pytest.mark.parametrize(
    "name", ["nasmith-demo", "nasmith-tune-1", "nasmith-a-12345678", "nasmith.tmp", "other.tmp"]
)
def test_a_folder_of_somebody_else_stays(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    sweep(tmp_path)
    assert (tmp_path / name).exists()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (tmp_path / "nasmith-test-abcdefgh.tmp").symlink_to(kept)
    sweep(tmp_path)
    assert kept.exists()


def test_folders_that_are_made_while_others_sweep_stay(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from models.processes.folders import sweep\n"
    code += "print(flush=True)\nwhile True: sweep(Path(sys.argv[1]))"
    sweeper = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert sweeper.stdout is not None
        sweeper.stdout.readline()
        for _ in range(300):
            with temporary_folder("test", tmp_path) as folder:
                (folder / "file").touch()
                assert (folder / "file").exists()
    finally:
        sweeper.kill()
        sweeper.communicate()
