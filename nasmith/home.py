"""What a server on this machine leaves in its home: where it is, and the key of its admin."""

from __future__ import annotations

import json
import os
from pathlib import Path
from urllib.parse import urlsplit

PORT_FILE = "server.json"
KEY_FILE = "admin-key"

_HERE = frozenset({"127.0.0.1", "::1", "localhost"})
_ANYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - as a server says that it listens


def home() -> Path:
    """Of the server of whoever types a command."""
    return Path(os.environ.get("NASMITH_HOME") or "~/.nasmith").expanduser()


def key_of(folder: Path) -> str | None:
    """The key that the first start with keys has written there; None: there is none to be read."""
    try:
        named = os.environ.get("NASMITH_ADMIN_KEY_FILE")
        file = Path(named) if named else folder / KEY_FILE
        return file.read_text(encoding="ascii").strip() or None
    except (OSError, ValueError):
        return None


def key_for(url: str, folder: Path) -> str | None:
    """That of `NASMITH_API_KEY`, or of the home where `url` is the server that runs on it: no other
    one gets to see it.
    """
    if given := os.environ.get("NASMITH_API_KEY"):
        return given
    try:
        served = json.loads((folder / PORT_FILE).read_text(encoding="utf-8"))
        there, asked = urlsplit(str(served["url"])), urlsplit(url)
        os.kill(int(served["pid"]), 0)
        is_it = asked.scheme == there.scheme and asked.port == there.port
    except (OSError, ValueError, KeyError, TypeError):
        return None
    hosts = {there.hostname} if there.hostname not in _HERE | _ANYWHERE else _HERE
    return key_of(folder) if is_it and asked.hostname in hosts else None
