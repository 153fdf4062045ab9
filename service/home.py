"""The home of a server: what lies in it is for the user that it runs as, and for nobody else."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_OTHERS = 0o077


def own_home(home: Path) -> None:
    """Make it, closed to others, and have this process and its children write files that only
    their user reads. A folder of another user's, as a volume may be, stays as it is.
    """
    os.umask(os.umask(_OTHERS) | _OTHERS)
    home.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(PermissionError):
        home.chmod(home.stat().st_mode & ~_OTHERS)
