"""One Ray runtime for all searches: a head of our own on this machine, or somebody's cluster.

Nothing here imports Ray before a driver calls `join`: the process that owns the runtime may serve
the API as well.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import IO

from models.processes.children import child_command
from models.processes.folders import OwnedFolder, sweep
from models.processes.trees import end_tree
from search.engine import ray_workers
from service.log_files import open_log
from service.running.worker_start import SOCKET
from service.settings import ServiceSettings, without_secrets
from service.sql.dispatchers import Node

START_SECONDS = 180.0  # three, where nothing else runs
STOP_SECONDS = 5.0

OBJECT_STORE_BYTES = 256 * 2**20
"""Trials and reports travel inside of messages; the store holds one pickled evaluator a search."""

LONGEST_FOLDER = 40
"""A Unix socket's path has at most 107 bytes, of which Ray's names below its folder take 65."""

SHORT_FOLDER = Path("/tmp")  # noqa: S108 - what is made there is 0700, unlike what Ray makes

ADDRESS_VARIABLE = "NASMITH_RAY_ADDRESS"
OWN_VARIABLE = "NASMITH_OWN_RAY"
"""Set in drivers of a local head, which no other node joins."""

LOOPBACK = {
    # Ray's one switch for binding to 127.0.0.1 alone. It has to be set in whoever connects, too.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
}
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "warning",
}


class RuntimeStartError(RuntimeError):
    """The local Ray head did not come up."""


class RayRuntime:
    """Starts nothing where the settings name a `cluster`. `node`: what the local one has."""

    def __init__(self, settings: ServiceSettings, cpus: int | None = None) -> None:
        self.cluster, self._home = settings.ray_address, settings.home / "ray"
        self._log, self._cpus = settings.logs / "ray.log", cpus
        self._head: subprocess.Popen[bytes] | None = None
        self._address = ""
        self.node: Node | None = None
        self._folder: OwnedFolder | None = None

    @property
    def address(self) -> str:
        """Of the cluster; empty before `start`."""
        return self.cluster or self._address

    def start(self) -> None:
        """Start a local head, in place of one that has died.

        Raises:
            RuntimeStartError: it did not come up.
        """
        if self.cluster or self.is_alive():
            return
        self.stop()
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (self._home, SHORT_FOLDER):
            sweep(folder)
        self._folder = _new_folder(self._home)
        with open_log(self._log) as log:
            self._head = subprocess.Popen(  # noqa: S603 - our interpreter, our module
                self._command(),
                env={**without_secrets(os.environ), **self._environment()},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                pass_fds=[self._folder.lock],  # the head holds it on, as long as it lives
            )
        assert self._head.stdout is not None  # noqa: S101 - made with a pipe
        line = _read_line(self._head.stdout, START_SECONDS)
        if not line:
            self.stop()
            raise RuntimeStartError(f"the Ray head did not start, see {self._log}")
        said = json.loads(line)
        self._address, self.node = said["address"], Node(said["cpus"], said["gpus"])

    def is_alive(self) -> bool:
        """Whether drivers can join. Of a cluster: whether its head answers."""
        if self.cluster:
            return _answers(self.cluster)
        return bool(self._address) and self._head is not None and self._head.poll() is None

    def environment(self) -> dict[str, str]:
        """What a driver's environment needs to join this runtime; `os.environ` goes below it."""
        if self.cluster:
            return {**QUIET, ADDRESS_VARIABLE: self.cluster}
        return {**self._environment(), ADDRESS_VARIABLE: self._address, OWN_VARIABLE: "1"}

    @property
    def forks(self) -> Path | None:
        """The socket of `worker_forks`, where the local head has it."""
        if self._folder is None:
            return None
        path = self._folder.path / SOCKET
        return path if path.is_socket() else None

    def stop(self) -> None:
        """End the local head and every process of it."""
        if self._head is not None:
            end_tree(self._head, STOP_SECONDS)  # Ray's agents would look for it for minutes
        self._head, self._address, self.node = None, "", None
        if self._folder is not None:
            self._folder.remove()
            self._folder = None

    def _environment(self) -> dict[str, str]:
        return {
            **QUIET,
            **LOOPBACK,
            **ray_workers.NODE_ENVIRONMENT,
            **ray_workers.soft_limit(self._cpus or os.cpu_count() or 1),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(_token_file(self._home)),
        }

    def _command(self) -> list[str]:
        assert self._folder is not None  # noqa: S101 - made by `start`
        options = ["--folder", str(self._folder.path / "ray")]
        options += ["--object-store-bytes", str(OBJECT_STORE_BYTES)]
        options += ["--cpus", str(self._cpus)] if self._cpus else []
        return child_command("service.running.ray_head", *options, at_end=signal.SIGTERM)


def join(settings: ServiceSettings) -> None:
    """Connect this process to the runtime that its environment names."""
    ray_workers.connect(settings.ray_address)


def may_grow() -> bool:
    """Whether further nodes may join the runtime that this process joined."""
    return OWN_VARIABLE not in os.environ


def is_connected() -> bool:
    """Whether the runtime that this process joined is still there."""
    return ray_workers.is_connected()


def warm_up(workers: int = 2) -> None:
    """Import what a search needs, here and in worker processes, before there is a search."""
    ray_workers.prestart(workers)
    import search.engine.preloading
    import search.engine.ray_tune
    import search.evaluators.train  # noqa: F401 - imported to have been imported
    from models.cost import import_meta_kernels

    import_meta_kernels()  # the known networks that a search begins with have a cost


def _token_file(home: Path) -> Path:
    """A random token, made once, that only this user can read."""
    path = home / "token"
    if not path.exists():
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = home / f"token.{os.getpid()}"
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
        with contextlib.suppress(FileExistsError):
            os.link(partial, path)  # unlike a rename it never replaces another process's token
        partial.unlink()
    return path


def _new_folder(home: Path) -> OwnedFolder:
    """Of Ray's sockets and logs: in the home, or in a place with a shorter name."""
    folder = OwnedFolder("ray", home)
    if len(str(folder.path / "ray").encode()) <= LONGEST_FOLDER:
        return folder
    folder.remove()
    return OwnedFolder("ray", SHORT_FOLDER)


def _read_line(pipe: IO[bytes], seconds: float) -> str:
    """The first line; empty at the end of the pipe or of the time."""
    deadline, line = time.monotonic() + seconds, b""
    while not line.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([pipe], [], [], left)[0]:
            return ""
        part = os.read(pipe.fileno(), 4096)
        if not part:
            return ""
        line += part
    return line.decode().strip()


def _answers(address: str, seconds: float = 2.0) -> bool:
    """Whether something listens at the address."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), seconds):
            return True
    except (OSError, ValueError):
        return False
