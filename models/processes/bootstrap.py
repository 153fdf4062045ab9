"""The first lines of every child: `bootstrap.py PARENT SIGNAL TARGET [ARGUMENT ...]`.

It has the child get `SIGNAL` when the process `PARENT` ends in whatever way, and then becomes
`TARGET`: a module by its name, or a script by its path. Run as a file, and with the standard
library alone: what TARGET may import is not for us to say.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys
import threading
import time

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LOOK_SECONDS = 0.5


def end_with(parent: int, number: int) -> None:
    """Have this process get the signal when its parent ends; exit at once if it has already.

    On Linux the kernel sends it, whatever the process does, frozen or deep in foreign code; with
    the *thread* of the parent that started it, so that thread has to live as long. Elsewhere a
    thread of ours looks.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    else:
        threading.Thread(target=_look, args=(parent, number), daemon=True).start()
    if os.getppid() != parent:
        os._exit(1)


def _look(parent: int, number: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os.kill(os.getpid(), number)


def main() -> None:
    parent, number, target, *arguments = sys.argv[1:]
    end_with(int(parent), signal.Signals(int(number)))
    sys.argv = [target, *arguments]
    if target.endswith(".py"):
        runpy.run_path(target, run_name="__main__")
    else:
        runpy.run_module(target, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
