"""`nasmith doctor`: is this machine able to run Nasmith, and what to do where it is not."""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from nasmith.commands.options import Json
from nasmith.commands.output import EXIT_FAILED_SEARCH, UsageError, print_json
from service.commands.findings import (
    Finding,
    admin_key,
    dispatcher,
    leftovers,
    store,
    traces,
    variables,
)
from service.commands.options import Home, settings_of
from service.own_packages import PACKAGES, ForeignPackageError, refuse_foreign_packages

if TYPE_CHECKING:
    from service.settings import ServiceSettings

_MIN_PYTHON = (3, 11)
_IMPORT_SECONDS = 180
_LITTLE_DISK, _TOO_LITTLE_DISK = 5 * 2**30, 2**29
_LITTLE_MEMORY = 4 * 2**30
_SAFE_SQLITE = (3, 51, 3)


def doctor(home: Home = None, as_json: Json = False) -> None:
    """Check this machine: versions, torch, Ray, database, disk, port.

    Exits with 1 when something fails; warnings pass.
    """
    findings = list(examine(home))
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            print(f"{finding.status:<5} {finding.check:<10} {finding.message}")
            if finding.advice:
                print(f"{'':<17}{finding.advice}")
    if any(finding.status == "fail" for finding in findings):
        raise typer.Exit(EXIT_FAILED_SEARCH)


def examine(home: Path | None) -> Iterator[Finding]:
    """Every finding, the cheap ones first; a check that breaks is a finding too."""
    yield _python()
    yield _packages()
    imports = _imports()
    yield imports
    yield from _guarded("torch", _torch)
    yield from _guarded("ray", _ray)
    yield from _guarded("memory", _memory)
    if imports.status == "fail":  # the other checks are made by what is not there
        return
    yield from _guarded("plug-ins", _plugins)
    yield from _guarded("walls", _walls)
    known = variables()
    yield known
    if known.status == "fail":
        return
    try:
        settings = settings_of(home)
    except UsageError as error:
        yield Finding("settings", "fail", str(error), "Correct the environment variable or flag.")
        return
    yield from _guarded("disk", lambda: _disk(settings.home))
    yield from _guarded("sqlite", lambda: _sqlite(settings))
    yield from _guarded("database", lambda: _database(settings))
    yield from _guarded("admin-key", lambda: admin_key(settings))
    yield from _guarded("store", lambda: store(settings))
    yield from _guarded("leftovers", lambda: leftovers(settings))
    yield from _guarded("traces", lambda: traces(settings))
    yield from _guarded("dispatcher", lambda: dispatcher(settings))
    yield from _guarded("port", lambda: _port(settings.host, settings.port))


def _guarded(name: str, check: Callable[[], Finding]) -> Iterator[Finding]:
    try:
        yield check()
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0]
        yield Finding(name, "fail", f"{type(error).__name__}: {reason}")


def _python() -> Finding:
    text = f"{platform.python_version()} at {sys.executable}"
    if sys.version_info < _MIN_PYTHON:
        return Finding("python", "fail", text, "Nasmith needs Python 3.11 or later.")
    return Finding("python", "ok", text)


def _packages() -> Finding:
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as version_of

    try:
        names = ("nasmith", "nasmith-server", "torch", "ray", "fastapi", "SQLAlchemy", "pydantic")
        return Finding("packages", "ok", ", ".join(f"{n} {version_of(n)}" for n in names))
    except PackageNotFoundError as error:
        return Finding("packages", "fail", f"{error.name} is not installed", "Run `make install`.")


def _imports() -> Finding:
    try:
        refuse_foreign_packages()
    except ForeignPackageError as error:
        return Finding("imports", "fail", str(error), "Give the server an environment of its own.")
    return Finding("imports", "ok", f"{', '.join(PACKAGES)} are the server's own")


def _walls() -> Finding:
    """Tried by a child: nobody takes them down again."""
    from models.processes.children import child_command
    from models.processes.walls import FILES, NETWORK

    done = subprocess.run(  # noqa: S603 - our interpreter, our module
        child_command("models.processes.walls"), capture_output=True, text=True, check=True
    )
    stand = json.loads(done.stdout)
    missing = [name for name in (FILES, NETWORK) if name not in stand]
    if missing:
        return Finding(
            "walls",
            "warn",
            f"who reads uploads is not kept from: {', '.join(missing)}",
            "Linux 5.13 or later with Landlock and seccomp has them; take files only from people "
            "you trust.",
        )
    return Finding("walls", "ok", f"who reads uploads is kept from: {', '.join(stand)}")


def _plugins() -> Finding:
    from search.plugins import pluggable, plugin_versions

    broken = [found for registry in pluggable() for found in registry.broken]
    taken = ", ".join(f"{name} {version}" for name, version in plugin_versions().items()) or "none"
    if broken:
        left_out = "; ".join(
            f"{found.name} of {found.group} from {found.source}: {found.reason}" for found in broken
        )
        advice = "Update or uninstall these distributions; the server goes on without the entries."
        return Finding("plug-ins", "warn", f"taken: {taken}; left out: {left_out}", advice)
    return Finding("plug-ins", "ok", taken)


def _torch() -> Finding:
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        return Finding("torch", "ok", f"{torch.__version__} with {', '.join(names)}")
    if torch.version.cuda and shutil.which("nvidia-smi"):
        return Finding(
            "torch",
            "warn",
            f"{torch.__version__} sees no GPU though nvidia-smi is here",
            "The driver may be older than the CUDA that torch was built for.",
        )
    return Finding("torch", "ok", f"{torch.__version__} on the CPU, {os.cpu_count()} cores")


def _ray() -> Finding:
    """In a process of its own: an import that hangs or crashes harms nobody."""
    code = "import ray, ray.tune; print(ray.__version__)"
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter, fixed code
            [sys.executable, "-P", "-c", code],
            capture_output=True,
            text=True,
            timeout=_IMPORT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Finding(
            "ray", "fail", f"import takes more than {_IMPORT_SECONDS} s", "Is the disk overloaded?"
        )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return Finding("ray", "fail", f"cannot be imported: {reason}", "Run `make install`.")
    return Finding("ray", "ok", f"{done.stdout.strip()} can be imported")


def _memory() -> Finding:
    import psutil

    memory = psutil.virtual_memory()
    text = f"{memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GiB free"
    if memory.available < _LITTLE_MEMORY:
        advice = "Ray and two trials want about 4 GiB: lower resources.parallel_trials."
        return Finding("memory", "warn", text, advice)
    return Finding("memory", "ok", text)


def _disk(home: Path) -> Finding:
    folder = home
    while not folder.exists():
        folder = folder.parent
    if not os.access(folder, os.W_OK):
        return Finding("disk", "fail", f"{folder} cannot be written", "Name another one: --home.")
    free = shutil.disk_usage(folder).free
    text = f"{free / 2**30:.1f} GiB free at {home}"
    if free < _TOO_LITTLE_DISK:
        return Finding("disk", "fail", text, "Make space, or name another folder: --home.")
    if free < _LITTLE_DISK:
        return Finding("disk", "warn", text, "Checkpoints and bundles may fill it.")
    return Finding("disk", "ok", text)


def _sqlite(settings: ServiceSettings) -> Finding:
    """Versions before 3.51.3 may corrupt a database in WAL mode when its log is reset."""
    if not settings.database_url.startswith("sqlite"):
        return Finding("sqlite", "ok", "not used")
    from service.sql.database import create_engine

    nowhere = Path(tempfile.gettempdir(), "nasmith-doctor.db")  # never opened, so never made
    driver = create_engine(f"sqlite:///{nowhere}").dialect.loaded_dbapi
    version: tuple[int, ...] = driver.sqlite_version_info
    text = ".".join(map(str, version))
    if version < _SAFE_SQLITE:
        return Finding(
            "sqlite",
            "warn",
            f"{text} has the WAL-reset bug",
            "Use PostgreSQL for what you cannot lose, or a Python with SQLite 3.51.3 or later.",
        )
    return Finding("sqlite", "ok", text)


def _database(settings: ServiceSettings) -> Finding:
    from sqlalchemy import make_url
    from sqlalchemy.exc import SQLAlchemyError

    from service.sql.database import create_engine, is_migrated

    shown = make_url(settings.database_url).render_as_string(hide_password=True)
    if settings.database_file is not None and not settings.database_file.exists():
        return Finding("database", "ok", f"{shown} does not exist yet; `serve` makes it")
    engine = create_engine(settings.database_url)
    try:
        with engine.connect() as connection:
            if is_migrated(connection):
                return Finding("database", "ok", f"{shown} answers, its schema is up to date")
            advice = "Run `nasmith migrate`; `nasmith serve` does it as well."
            return Finding("database", "warn", f"{shown} has another schema", advice)
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        advice = "Is it running, and is NASMITH_DATABASE_URL right?"
        return Finding("database", "fail", f"{shown} does not answer: {reason}", advice)
    finally:
        engine.dispose()


def _port(host: str, port: int) -> Finding:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            text = f"{host}:{port} cannot be served: {error.strerror}"
            advice = "A server is running already? If not, name another port: --port."
            return Finding("port", "warn", text, advice)
    return Finding("port", "ok", f"{host}:{port} is free")
