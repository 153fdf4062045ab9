"""The one way to start a Python process of ours: it ends when this one does, `kill -9` included."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

_BOOTSTRAP = str(Path(__file__).with_name("bootstrap.py"))


def child_command(
    target: str,
    *arguments: str,
    at_end: signal.Signals = signal.SIGKILL,
    is_isolated: bool = False,
) -> list[str]:
    """The command line of a child of this process, for `subprocess`.

    Start it from a thread that lives as long as the child may. Nothing is imported from the
    working folder.

    target: a module by its name, or a script by its path, which ends in `.py`.
    at_end: the signal that it gets when this process ends. SIGTERM where it has children or files
        of its own to clean up, and does so in time.
    is_isolated: it sees neither `PYTHON...` variables nor the user's site-packages.
    """
    options = ["-I", "-B"] if is_isolated else ["-P"]
    started = [str(os.getpid()), str(int(at_end)), target]
    return [sys.executable, *options, _BOOTSTRAP, *started, *arguments]
