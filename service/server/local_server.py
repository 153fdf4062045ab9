"""A server of one's own: started as a process, stopped with everything that it started.

For `fit`, the demo, benchmarks and tests. Imports no server code.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx2
import psutil

from models.processes.children import child_command
from models.processes.trees import end_tree, kill_all
from nasmith.home import PORT_FILE, key_of
from service.log_files import open_log

START_SECONDS = 180.0  # a second, where nothing else runs
STOP_SECONDS = 15.0


class LocalServerError(RuntimeError):
    """The server did not start; the message holds the end of its log."""


class LocalServer:
    """`nasmith serve` on a free loopback port; a restart keeps the port."""

    def __init__(
        self,
        home: Path,
        *,
        with_dispatcher: bool = True,
        environment: Mapping[str, str] | None = None,
        is_home_shared: bool = False,
    ) -> None:
        """`is_home_shared`: the shell that this was typed into may have `NASMITH_HOME` too."""
        self._is_home_shared = is_home_shared
        self.home = home.absolute()
        self.log = self.home / "logs" / "serve.log"
        self._with_dispatcher, self._environment = with_dispatcher, dict(environment or {})
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def api_key(self) -> str | None:
        """Its admin's, where the settings say that it asks for keys."""
        return key_of(self.home)

    @property
    def port(self) -> int:
        return self._port

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("the server is not running")
        return self._process.pid

    def start(self, seconds: float = START_SECONDS) -> float:
        """Return when the API is ready, with the seconds that it took; its dispatcher may still
        start Ray.

        Raises:
            LocalServerError: it ended, or is not ready after `seconds`.
        """
        started = time.perf_counter()
        port_file = self.home / PORT_FILE
        port_file.unlink(missing_ok=True)
        options = ["--port", str(self._port), "--port-file", str(port_file)]
        if not self._with_dispatcher:
            options.append("--no-dispatcher")
        command = child_command("service.cli", "serve", *options, at_end=signal.SIGTERM)
        with open_log(self.log) as log:
            self._process = subprocess.Popen(  # noqa: S603 - our interpreter, our module
                command,
                env={**os.environ, **self._environment, "NASMITH_HOME": str(self.home)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        while not (port_file.exists() and self._is_ready(port_file)):
            if self._process.poll() is not None:
                raise LocalServerError(f"the server ended at once:\n{self._end_of_log()}")
            if time.perf_counter() - started > seconds:
                self.stop()
                raise LocalServerError(f"not ready after {seconds:g} s:\n{self._end_of_log()}")
            time.sleep(0.02)
        return time.perf_counter() - started

    def stop(self, seconds: float = STOP_SECONDS) -> float:
        """SIGTERM, and SIGKILL to whatever is left after `seconds`. Returns the seconds used."""
        started = time.perf_counter()
        process, self._process = self._process, None
        if process is not None:
            end_tree(process, seconds)
        taken = time.perf_counter() - started
        if not self._is_home_shared:
            kill_all(self.processes())  # of a server that was killed, and not stopped
        return taken

    def kill(self) -> None:
        """`kill -9`, as a crash: nothing is said to the processes that it started."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def processes(self) -> list[psutil.Process]:
        """Everything that runs for this home, told by its environment."""
        found = []
        for process in psutil.process_iter():
            try:
                home = process.environ().get("NASMITH_HOME")
                is_dead = process.status() == psutil.STATUS_ZOMBIE
            except (psutil.Error, OSError):
                continue
            if home == str(self.home) and process.pid != os.getpid() and not is_dead:
                found.append(process)
        return found

    def _is_ready(self, port_file: Path) -> bool:
        self._port = int(json.loads(port_file.read_text())["url"].rpartition(":")[2])
        try:
            answer = httpx2.get(f"{self.url}/readyz?exclude=dispatcher", timeout=30)
        except httpx2.TransportError:
            return False
        return answer.status_code == httpx2.codes.OK

    def _end_of_log(self) -> str:
        return self.log.read_text(errors="replace")[-2000:].strip()


@contextmanager
def running_server(
    home: Path,
    *,
    with_dispatcher: bool = True,
    environment: Mapping[str, str] | None = None,
    is_home_shared: bool = False,
) -> Iterator[LocalServer]:
    """A ready server for the length of the block."""
    server = LocalServer(
        home,
        with_dispatcher=with_dispatcher,
        environment=environment,
        is_home_shared=is_home_shared,
    )
    try:
        server.start()
        yield server
    finally:
        server.stop()
