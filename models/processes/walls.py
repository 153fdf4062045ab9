"""Walls that the kernel of Linux puts around a process that works on what comes from strangers: no
network, and no file but those that it needs. What a kernel has not is left out, and told.

`python -m models.processes.walls` says which of them stand here, as JSON.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import platform
import sys
from collections.abc import Iterable
from pathlib import Path

NETWORK, FILES = "network", "files"

_PR_SET_NO_NEW_PRIVS = 38  # linux/prctl.h
_SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/etc", "/proc", "/sys", "/dev", "/opt")
"""What libraries read."""

# linux/landlock.h
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION, _PATH_BENEATH = 1, 1
_READ = 1 << 0 | 1 << 2 | 1 << 3  # execute, read a file, list a folder
_WRITE = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8  # and make and remove files and folders
_OTHER = 1 << 6 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12  # devices, sockets, pipes, links
_REFER, _TRUNCATE = 1 << 13, 1 << 14  # since versions 2 and 3

# linux/seccomp.h, linux/filter.h, linux/audit.h
_SET_MODE_FILTER, _ALL_THREADS = 1, 1
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM
_LOAD, _EQUALS, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_IO_URING_SETUP, _FOREIGN = 425, 0x40000000
_MACHINES = {"x86_64": (0xC000003E, 317, 41), "aarch64": (0xC00000B7, 277, 198)}
"""Architecture, and the numbers of `seccomp` and `socket` there."""


def enclose(readable: Iterable[Path], writable: Iterable[Path]) -> list[str]:
    """Put the walls around this thread, and what it starts, for good; `readable`, `writable`:
    folders beside those of Python and the system. Those that stand now.
    """
    if sys.platform != "linux":
        return []
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return []
    stand = [FILES] if _close_files(libc, readable, writable) else []
    return [*stand, NETWORK] if _close_network(libc) else stand


def _close_files(libc: ctypes.CDLL, readable: Iterable[Path], writable: Iterable[Path]) -> bool:
    version = libc.syscall(_CREATE_RULESET, None, 0, _VERSION)
    if version < 1:
        return False
    changes = _WRITE | _OTHER
    changes |= (_REFER if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
    handled = ctypes.c_uint64(_READ | changes)
    ruleset = libc.syscall(_CREATE_RULESET, ctypes.byref(handled), ctypes.sizeof(handled), 0)
    if ruleset < 0:
        return False
    try:
        own = (*_SYSTEM, sys.prefix, sys.base_prefix, *filter(None, sys.path))
        for paths, access in (
            ((*map(Path, own), *readable), _READ),
            (writable, _READ | changes & ~_OTHER),
        ):
            for path in {path for path in paths if path.is_dir()}:
                _allow(libc, ruleset, path, access)
        return bool(libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def _allow(libc: ctypes.CDLL, ruleset: int, folder: Path, access: int) -> None:
    descriptor = os.open(folder, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = _PathBeneath(access, descriptor)
        if libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0) != 0:
            raise OSError(ctypes.get_errno(), "landlock_add_rule", str(folder))
    finally:
        os.close(descriptor)


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16),
        ("if_true", ctypes.c_uint8),
        ("if_false", ctypes.c_uint8),
        ("value", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("first", ctypes.POINTER(_Instruction)))


def _close_network(libc: ctypes.CDLL) -> bool:
    """No socket is made any more, of whatever kind, in any thread."""
    if platform.machine() not in _MACHINES:
        return False
    architecture, seccomp, socket = _MACHINES[platform.machine()]
    lines = (
        (_LOAD, 0, 0, 4),  # the architecture of the call
        (_EQUALS, 0, 5, architecture),
        (_LOAD, 0, 0, 0),  # its number
        (_AT_LEAST, 3, 0, _FOREIGN),
        (_EQUALS, 2, 0, socket),
        (_EQUALS, 1, 0, _IO_URING_SETUP),  # which makes them, too
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    )
    program = (_Instruction * len(lines))(*(_Instruction(*line) for line in lines))
    filtering = _Program(len(program), program)
    found = libc.syscall(seccomp, _SET_MODE_FILTER, _ALL_THREADS, ctypes.byref(filtering))
    return bool(found == 0)


if __name__ == "__main__":
    print(json.dumps(enclose((), ())))
