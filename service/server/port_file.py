"""Where a server says that it is ready: a file with its URL and pid, in its home by default."""

from __future__ import annotations

import json
from pathlib import Path

import psutil

from nasmith.home import PORT_FILE


def served_url(home: Path) -> str | None:
    """Where a server of this home is, if one runs."""
    try:
        served = json.loads((home / PORT_FILE).read_text(encoding="utf-8"))
        return str(served["url"]) if psutil.pid_exists(served["pid"]) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
