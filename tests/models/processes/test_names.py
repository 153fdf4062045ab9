from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil

from models.processes.names import is_gone, process_name


def test_a_process_is_gone_once_it_has_ended() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    name = process_name(child.pid)
    assert not is_gone(name)
    child.kill()
    while psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert is_gone(name)  # not reaped yet, and writes nothing more
    child.communicate()
    assert is_gone(name)


def test_this_process_is_here() -> None:
    assert not is_gone(process_name())


def test_another_process_with_the_same_number_is_not_the_owner() -> None:
    machine, pid, started = process_name().rsplit("/", 2)
    assert is_gone(f"{machine}/{pid}/{float(started) - 1000:.2f}")


def test_nothing_is_known_of_other_machines() -> None:
    assert not is_gone("elsewhere:boot:pid/1/0.00")
    assert not is_gone("no name of a process")


def test_a_child_dies_with_its_parent() -> None:
    """However the parent dies, and whatever the child does meanwhile."""
    grandchild = "from models.processes.names import die_with; import os, sys, time; "
    grandchild += "die_with(int(sys.argv[1])); print(os.getpid(), flush=True); time.sleep(600)"
    parent = "import os, subprocess, sys; "
    parent += f"subprocess.run([sys.executable, '-c', {grandchild!r}, str(os.getpid())])"
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE)
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    process.communicate()
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not psutil.pid_exists(pid)


def test_a_child_whose_parent_is_gone_already_ends_at_once() -> None:
    code = "from models.processes.names import die_with; import sys; die_with(int(sys.argv[1]))"
    child = subprocess.run([sys.executable, "-c", code, str(os.getppid())], check=False)
    assert child.returncode == 1
