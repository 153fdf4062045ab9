"""`nasmith serve`: the API in this process and, embedded, the dispatcher as its child."""

from __future__ import annotations

import fcntl
import ipaddress
import json
import logging
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO

import uvicorn

from models.processes.folders import sweep
from nasmith.home import PORT_FILE
from service.home import own_home
from service.logs import configure_logs
from service.running.dispatcher_process import EmbeddedDispatcher
from service.server.admin_key import write_admin_key
from service.server.garbage import keep_what_is_there, stop_collecting
from service.server.port_file import served_url
from service.server.protocol import GuardedProtocol
from service.server.schema import migrated_meanwhile
from service.settings import ServiceSettings

LOCK_FILE = "server.lock"
_OPEN_FILES = 16_384
_SWITCH_SECONDS = 0.0005  # a thread that reads a large body holds up others for this long, not 5 ms
_DRAIN_SECONDS = 3  # for requests under way when the server is asked to stop
_LONGEST_STOP_SECONDS = 8.0  # after which nothing is waited for any more

_log = logging.getLogger(__name__)


class ServeError(RuntimeError):
    """The server cannot start; the message says what to change."""


def serve(
    settings: ServiceSettings,
    *,
    with_dispatcher: bool = True,
    port_file: Path | None = None,
    is_exposed_on_purpose: bool = False,
    on_ready: Callable[[str], None] = print,
) -> None:
    """Migrate the database, serve until SIGTERM or SIGINT, then stop what was started.

    `port_file` holds the URL and pid while the server is ready; with port 0 it says which port was
    free. By default it is `server.json` in the home; without dispatcher, none. A home has one
    embedded dispatcher, so a second server on it is refused; without it, any number may share one.

    Raises:
        ServeError: another server uses this home, the port is taken, or the address can be reached
            from other machines while there is no authentication.
    """
    if settings.auth == "none" and not is_exposed_on_purpose:
        refuse_exposure(settings.host)
    stop_collecting()
    configure_logs(settings.log_level, settings.log_format)
    own_home(settings.home)
    _allow_many_connections()
    sys.setswitchinterval(_SWITCH_SECONDS)
    sweep()
    os.environ["NASMITH_HOME"] = str(settings.home)  # what is downloaded goes there
    if port_file is None and with_dispatcher:
        port_file = settings.home / PORT_FILE
    with (
        _stopped_by_signals(),
        _only_one(settings.home, with_dispatcher),
        _bind(settings.host, settings.port) as listener,
    ):
        with migrated_meanwhile(settings.database_url):
            from service.api.app import create_app
        if settings.auth == "keys":
            write_admin_key(settings)
        dispatcher = EmbeddedDispatcher(settings) if with_dispatcher else None
        url = _url(settings.host, listener)
        app = create_app(settings, on_warm=keep_what_is_there)

        def begin_stop() -> None:
            if dispatcher is not None:
                dispatcher.ask_to_stop()
            watchdog = threading.Timer(_LONGEST_STOP_SECONDS, _leave, (dispatcher, port_file))
            watchdog.daemon = True
            watchdog.start()

        server = _Server(
            uvicorn.Config(
                app,
                http=GuardedProtocol,
                log_level="debug" if settings.log_level == "debug" else "warning",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=_DRAIN_SECONDS,
            ),
            on_started=lambda: _announce(url, port_file, on_ready),
            on_exit=begin_stop,
            on_drain=lambda: app.state.watcher.close(),
        )
        try:
            if dispatcher is not None:
                dispatcher.start()
            server.run(sockets=[listener])
        finally:
            if port_file is not None:
                port_file.unlink(missing_ok=True)
            if dispatcher is not None:
                dispatcher.stop()


def _allow_many_connections() -> None:
    """The usual soft limit of 1,024 open files is less than the uploads that may wait."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _leave(dispatcher: EmbeddedDispatcher | None, port_file: Path | None) -> None:
    """End at once, with everything that was started. What was committed stays; the next start goes
    on from there.
    """
    _log.warning("not stopped after %g s: leaving now", _LONGEST_STOP_SECONDS)
    if dispatcher is not None:
        dispatcher.stop(0)
    if port_file is not None:
        port_file.unlink(missing_ok=True)
    os._exit(0)


def refuse_exposure(host: str) -> None:
    """
    Raises:
        ServeError: `host` is no loopback address.
    """
    if host == "localhost":
        return
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise ServeError(
            f"{host} can be reached from other machines and there is no authentication: anyone "
            "could run searches here. Ask for keys with --auth keys (NASMITH_AUTH=keys), or pass "
            "--insecure-no-auth where the network itself is the guard"
        )


class _Server(uvicorn.Server):
    """Says when it is ready, when it was asked to stop (from a signal handler), and when it begins
    to wait for requests under way.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        on_started: Callable[[], None],
        on_exit: Callable[[], None],
        on_drain: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._on_started, self._on_exit, self._on_drain = on_started, on_exit, on_drain

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_drain()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        self._on_exit()


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """SIGTERM and SIGINT end the block, cleanly, from its first line to its last.

    uvicorn handles both while it serves and raises them again afterwards, when the handler here
    has nothing to do any more but to let the block finish.
    """
    is_over = False

    def stop(signum: int, frame: FrameType | None) -> None:
        nonlocal is_over
        if not is_over:
            is_over = True
            raise SystemExit(0)

    previous = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    except SystemExit as stopped:
        if stopped.code:
            raise
    finally:
        is_over = True
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def _only_one(home: Path, is_needed: bool) -> Iterator[None]:
    """Hold the lock of a home; the operating system frees it even after a crash."""
    if not is_needed:
        yield
        return
    with (home / LOCK_FILE).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ServeError(_occupied(home, file)) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _occupied(home: Path, file: IO[str]) -> str:
    file.seek(0)
    pid = file.read().strip()
    who = f" (process {pid})" if pid else ""
    url = served_url(home)
    where = "" if url is None else f" at {url}"
    return (
        f"another server{who}{where} uses {home}. Use that one, stop it, or name another --home; "
        "--no-dispatcher adds a second API to the same database"
    )


def _bind(host: str, port: int) -> socket.socket:
    """A bound socket that does not listen yet: a client is refused until the API is ready."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise ServeError(
            f"cannot listen on {host} port {port}: {error.strerror}. "
            "--port names another one, --port 0 takes any that is free"
        ) from None
    return listener


def _url(host: str, listener: socket.socket) -> str:
    port = listener.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _announce(url: str, port_file: Path | None, on_ready: Callable[[str], None]) -> None:
    """Write the port file whole or not at all, then tell."""
    if port_file is not None:
        temporary = port_file.with_name(f".{port_file.name}.{os.getpid()}")
        temporary.write_text(json.dumps({"url": url, "pid": os.getpid()}))
        temporary.replace(port_file)
    on_ready(url)
