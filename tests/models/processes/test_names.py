from __future__ import annotations

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
