from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from models.processes import memory
from models.processes.memory import Room, growth_bytes, room

GIB = 2**30


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of its control groups; it has 64 GiB, of which 40 are free."""
    monkeypatch.setattr(memory, "GROUPS", tmp_path)
    monkeypatch.setattr(memory, "MEMBERSHIP", tmp_path / "membership")

    class Memory:
        total, available = 64 * GIB, 40 * GIB

    monkeypatch.setattr(psutil, "virtual_memory", Memory)
    return tmp_path


def group(folder: Path, **files: int | str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / f"memory.{name}").write_text(f"{content}\n")


def test_without_control_groups_there_is_the_machine(machine: Path) -> None:
    assert room() == Room(64 * GIB, 40 * GIB)


def test_the_tightest_group_of_version_2_decides_and_files_it_caches_are_free(
    machine: Path,
) -> None:
    (machine / "membership").write_text("0::/slice/service\n")
    stat = f"anon 5\ninactive_file {2 * GIB}\nfile 7"
    group(machine / "slice/service", max="max", current=3 * GIB, stat=stat)
    group(machine / "slice", max=8 * GIB, current=6 * GIB, stat=stat)
    assert room() == Room(8 * GIB, 4 * GIB)


def test_of_version_1_the_limit_may_be_of_a_group_that_is_not_seen_under_its_name(
    machine: Path,
) -> None:
    """As in a container: the path is that of the machine, the mount shows the container alone."""
    (machine / "membership").write_text("5:cpu,cpuacct:/\n4:memory:/docker/0ec7\n0::/\n")
    stat = f"cache 1\ninactive_file 9\ntotal_inactive_file {GIB}"
    group(machine / "memory", limit_in_bytes=4 * GIB, usage_in_bytes=3 * GIB, stat=stat)
    assert room() == Room(4 * GIB, 2 * GIB)


def test_a_group_of_version_1_without_a_limit_says_a_number_beyond_all_memory(
    machine: Path,
) -> None:
    (machine / "membership").write_text("4:memory:/\n")
    group(machine / "memory", limit_in_bytes=2**63 - 4096, usage_in_bytes=GIB, stat="cache 1")
    assert room() == Room(64 * GIB, 40 * GIB)


def test_a_trial_may_grow_by_what_is_free_but_for_a_reserve(machine: Path) -> None:
    assert growth_bytes() == 40 * GIB - int(0.08 * 64 * GIB)
    (machine / "membership").write_text("0::/\n")
    group(machine, max=4 * GIB, current=4 * GIB, stat="")
    assert growth_bytes() == 512 * 2**20  # its neighbours have it all


HOG = """
from models.processes.memory import limit_growth
limit_growth(2**28)
small = bytes(2**26)
try:
    large = bytes(2**28)
except MemoryError:
    limit_growth(2**29)
    print(len(bytes(2**28)) == 2**28)
"""


def test_who_wants_more_than_its_limit_gets_an_error_and_lives_on() -> None:
    done = subprocess.run([sys.executable, "-c", HOG], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("True\n", 0), done.stderr
