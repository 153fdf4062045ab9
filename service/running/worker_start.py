"""What the raylet runs to start a worker: it hands the order on to `worker_forks`, and ends.

Run as a file, and with the standard library alone, so that it costs as little as a process can.
Ray's own script in this place imports Ray, becomes a second interpreter and imports it again.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path

FOLDER, CONTEXT = "--temp-dir=", "--serialized-runtime-env-context="
SOCKET = "workers"


def main() -> None:
    arguments = sys.argv[1:]
    worker = [part for part in arguments if not part.startswith(("--language=", CONTEXT))]
    if _value(arguments, CONTEXT) not in ("", "{}"):  # wants an environment of its own
        setup = str(Path(worker[0]).with_name("setup_worker.py"))
        os.execv(sys.executable, [sys.executable, setup, *arguments])  # noqa: S606 - Ray's way
    order = {"arguments": worker, "environment": dict(os.environ), "folder": os.getcwd()}
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(Path(_value(arguments, FOLDER)).with_name(SOCKET)))
        socket.send_fds(connection, [b"\n"], [0, 1, 2])
        connection.sendall(json.dumps(order).encode())


def _value(arguments: list[str], option: str) -> str:
    return next((p.removeprefix(option) for p in arguments if p.startswith(option)), "")


if __name__ == "__main__":
    main()
