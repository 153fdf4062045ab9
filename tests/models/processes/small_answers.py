"""What `test_forks` has forks of."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from typing import Any

PREPARED: list[int] = []


def prepare() -> None:
    PREPARED.append(os.getpid())


def answer(question: dict[str, Any]) -> dict[str, Any]:
    if question.get("signal"):
        os.kill(os.getpid(), signal.Signals[question["signal"]])
    if "code" in question:
        print("last words", file=sys.stderr)
        raise SystemExit(question["code"])
    if question.get("waits"):
        time.sleep(600)
    descriptors = [os.readlink(f"/proc/self/fd/{d}") for d in os.listdir("/proc/self/fd") if
                   os.path.exists(f"/proc/self/fd/{d}")]  # fmt: skip
    return {
        "prepared": PREPARED,
        "parent": os.getppid(),
        "pid": os.getpid(),
        "folders": [os.getcwd(), os.environ["HOME"], tempfile.gettempdir()],
        "niceness": os.nice(0),
        "secret": os.environ.get("NASMITH_DATABASE_URL"),
        "sockets": sum(name.startswith("socket:") for name in descriptors),
        "said": question.get("say"),
    }
