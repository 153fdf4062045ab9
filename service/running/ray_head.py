"""A Ray head of our own, on loopback: `python -m service.running.ray_head`, a child of
`RayRuntime`.

It starts with half the processes and in half the time of `ray start --head`: no autoscaler, no log
monitor, no client server, no dashboard page. It ends, and takes every process of Ray with it, when
stdin closes, which is when the parent ends in whatever way, or when a part of Ray has died.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import shutil
import signal
import sys
from types import FrameType

import psutil
from ray._private.node import Node  # what `ray start` is made of; no public name gives as little
from ray._private.parameter import RayParams

POLL_SECONDS = 0.5


def main() -> None:
    arguments = _arguments()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    signal.signal(signal.SIGTERM, _exit)
    parameters = RayParams(
        node_ip_address="127.0.0.1",
        gcs_server_port=0,  # any free port, as for all the others
        num_cpus=arguments.cpus,
        object_store_memory=arguments.object_store_bytes,
        temp_dir=arguments.folder,
        include_dashboard=False,
        include_log_monitor=False,  # type: ignore[arg-type]  # Ray's own annotation is wrong
        no_monitor=True,
    )
    # With `spawn_reaper` the kernel kills Ray's processes when this one is killed.
    node = Node(parameters, head=True, shutdown_at_exit=False, spawn_reaper=True)
    try:
        print(node.gcs_address, flush=True)
        while not node.dead_processes():  # type: ignore[no-untyped-call]  # Ray's
            if select.select([sys.stdin], [], [], POLL_SECONDS)[0] and not os.read(0, 4096):
                return
    finally:
        members = psutil.Process().children(recursive=True)  # agents and workers look for
        node.kill_all_processes(check_alive=False, allow_graceful=False)  # a lost parent too rarely
        for member in members:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
        psutil.wait_procs(members, 2.0)
        shutil.rmtree(arguments.folder, ignore_errors=True)


def _exit(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", required=True, help="of Ray's sockets and logs")
    parser.add_argument("--cpus", type=int, help="default: those of the machine")
    parser.add_argument("--object-store-bytes", type=int, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
