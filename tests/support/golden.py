"""Golden records: what must not change without being meant.

`NASMITH_GOLDEN=write pytest FILE` writes the records of a file of tests anew; the difference is
then to be read as a change of what clients and stored searches depend on.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "golden"


def golden(name: str, found: Any) -> Any:
    """The record of `name`, to be compared with what was found."""
    if os.environ.get("NASMITH_GOLDEN") == "write":
        _path(name).write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    return recorded(name)


def recorded(name: str) -> Any:
    return json.loads(_path(name).read_text())


def _path(name: str) -> Path:
    return FOLDER / f"{name}.json"
