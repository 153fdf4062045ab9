from __future__ import annotations

import subprocess
import sys
import time

import psutil
import pytest

from models.processes.trees import end_tree

TREE = """
import signal, subprocess, sys, time
if {stubborn}:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
middle = "import subprocess, sys; print(subprocess.Popen(sys.argv[1:]).pid, flush=True)"
child = subprocess.Popen(sleep)
subprocess.run([sys.executable, "-c", middle, *sleep])  # ends, and leaves an orphan
print(child.pid, flush=True)
time.sleep(600)
"""


def planted(*, stubborn: bool) -> tuple[subprocess.Popen[bytes], list[psutil.Process]]:
    process = subprocess.Popen(
        [sys.executable, "-c", TREE.format(stubborn=stubborn)],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    pids = [int(process.stdout.readline()) for _ in range(2)]
    return process, [psutil.Process(pid) for pid in (process.pid, *pids)]


def test_a_tree_ends_with_its_orphans() -> None:
    process, members = planted(stubborn=False)
    end_tree(process, 30)
    assert not any(member.is_running() for member in members)
    assert process.returncode == -15


def test_what_does_not_listen_is_killed() -> None:
    process, members = planted(stubborn=True)
    end_tree(process, 0.2)
    assert not any(member.is_running() for member in members)
    assert process.returncode == -9


@pytest.mark.parametrize("is_reaped", [False, True])
def test_orphans_of_a_child_that_has_ended_by_itself_end_too(is_reaped: bool) -> None:
    process, members = planted(stubborn=False)
    members[0].kill()
    if is_reaped:
        process.wait()
    while not is_reaped and members[0].status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    end_tree(process, 30)
    assert not any(member.is_running() for member in members)


def test_processes_outside_of_the_tree_stay() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        process, _ = planted(stubborn=False)
        end_tree(process, 30)
        assert other.poll() is None
        other.communicate()


def test_a_child_that_was_reaped_is_no_error() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    end_tree(process, 1)
    assert process.returncode == 0
