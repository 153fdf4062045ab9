"""What the commands print: data on stdout, everything else on stderr; and how they end."""

from __future__ import annotations

import json
import os
import shutil
import sys
import traceback
from collections.abc import Iterable, Sequence
from typing import NoReturn

EXIT_FAILED_SEARCH = 1
EXIT_USAGE = 2
EXIT_NOT_FOUND = 3
EXIT_AUTHENTICATION = 4
EXIT_SERVER = 5
EXIT_INTERNAL = 70
EXIT_INTERRUPTED = 130


class UsageError(Exception):
    """What the person typed, or the file they named, cannot be used."""


class AwayError(Exception):
    """What the command needs does not answer now; the same command may succeed later."""


class FailedError(Exception):
    """The command did its work and the outcome is a failure."""


def print_json(data: object) -> None:
    print(json.dumps(data, indent=2, ensure_ascii=False), flush=True)


def note(text: str) -> None:
    """A remark for a person, out of the way of the data."""
    print(text, file=sys.stderr, flush=True)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Columns as wide as their longest cell; on a terminal, lines are cut at its edge."""
    cells = [list(columns), *(["" if c is None else str(c) for c in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    limit = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for row in cells:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print(line.rstrip()[:limit])


def end_with(error: Exception) -> NoReturn:
    """Say what went wrong in one clear line and its details, and exit with the code for it."""
    code, message = _verdict(error)
    if code == EXIT_INTERNAL:
        if os.environ.get("NASMITH_DEBUG"):
            traceback.print_exception(error)
        message += "\n  This is a bug in Nasmith; NASMITH_DEBUG=1 shows where it happened."
    note(f"nasmith: {message}")
    raise SystemExit(code) from None


def _verdict(error: Exception) -> tuple[int, str]:
    from nasmith import (
        AuthenticationError,
        BundleError,
        NasmithError,
        NotFoundError,
        SearchFailedError,
        ServerError,
        TooManyRequestsError,
        UnreachableError,
    )

    if isinstance(error, SearchFailedError | FailedError):
        return EXIT_FAILED_SEARCH, str(error)
    if isinstance(error, NotFoundError):
        return EXIT_NOT_FOUND, str(error)
    if isinstance(error, AuthenticationError):
        return EXIT_AUTHENTICATION, str(error)
    if isinstance(error, UnreachableError):
        return EXIT_SERVER, f"{error}\n  Start one with `nasmith serve`, or name another: --url."
    away = AwayError | ServerError | TooManyRequestsError | TimeoutError
    if isinstance(error, away | BundleError):
        return EXIT_SERVER, str(error)
    if isinstance(error, NasmithError | UsageError | OSError):
        return EXIT_USAGE, str(error)
    return EXIT_INTERNAL, f"{type(error).__name__}: {error}"
