"""A Ray head of our own, on loopback: `python -m service.running.ray_head`, a child of
`RayRuntime`.

It starts with half the processes and in half the time of `ray start --head`: no autoscaler, no log
monitor, no client server, no dashboard page. It ends, and takes every process of Ray with it, at
SIGTERM, which it also gets when its parent ends in whatever way, or when a part of Ray has died.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

import psutil
from ray._private.node import Node  # what `ray start` is made of; no public name gives as little
from ray._private.parameter import RayParams

from models.processes.children import child_command
from models.processes.trees import kill_all
from service.running import worker_start

POLL_SECONDS = 0.5


def main() -> None:
    arguments = _arguments()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    stop = Stop()
    forks = _start_forks(arguments.folder)
    parameters = RayParams(
        node_ip_address="127.0.0.1",
        gcs_server_port=0,  # any free port, as for all the others
        num_cpus=arguments.cpus,
        object_store_memory=arguments.object_store_bytes,
        temp_dir=arguments.folder,
        include_dashboard=False,
        include_log_monitor=False,  # type: ignore[arg-type]  # Ray's own annotation is wrong
        no_monitor=True,
        setup_worker_path=worker_start.__file__ if forks else None,
    )
    # With `spawn_reaper` the kernel kills Ray's processes when this one is killed.
    node = Node(parameters, head=True, shutdown_at_exit=False, spawn_reaper=True)
    try:
        stop.may_interrupt()
        print(json.dumps({"address": node.gcs_address, **_resources(node)}), flush=True)
        while not node.dead_processes():  # type: ignore[no-untyped-call]  # Ray's
            if forks is not None and forks.poll() is not None:
                break
            time.sleep(POLL_SECONDS)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        members = psutil.Process().children(recursive=True)  # agents and workers look for
        node.kill_all_processes(check_alive=False, allow_graceful=False)  # a lost parent too rarely
        kill_all(members)
        shutil.rmtree(arguments.folder, ignore_errors=True)


def _resources(node: Node) -> dict[str, float]:
    """What trials may share of it."""
    has = node.get_resource_and_label_spec()  # type: ignore[no-untyped-call]  # Ray's
    return {"cpus": float(has.num_cpus or 0), "gpus": float(has.num_gpus or 0)}


def _start_forks(folder: str) -> subprocess.Popen[bytes] | None:
    """Where workers come from. On a machine with GPUs Ray starts them one by one: a process that
    was forked cannot use CUDA if its parent has as much as asked for devices.
    """
    if sys.platform != "linux" or list(Path("/dev").glob("nvidia[0-9]*")):
        return None
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(Path(folder).with_name(worker_start.SOCKET)))
        listener.listen(socket.SOMAXCONN)
        return subprocess.Popen(  # noqa: S603 - our interpreter, our module
            child_command("service.running.worker_forks", str(listener.fileno())),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[listener.fileno()],
        )


class Stop:
    """What SIGTERM does: nothing while Ray starts, because what has started then has no end yet."""

    def __init__(self) -> None:
        self._is_asked = self._may_interrupt = False
        signal.signal(signal.SIGTERM, self._ask)

    def may_interrupt(self) -> None:
        self._may_interrupt = True
        self._check()

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self._is_asked = True
        self._check()

    def _check(self) -> None:
        if self._is_asked and self._may_interrupt:
            raise SystemExit(0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", required=True, help="of Ray's sockets and logs")
    parser.add_argument("--cpus", type=int, help="default: those of the machine")
    parser.add_argument("--object-store-bytes", type=int, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
