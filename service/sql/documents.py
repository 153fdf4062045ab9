"""JSON on its way into a column and back: no text gets in that one of the databases could not hold,
and none comes out that no answer can hold, so that one row never spoils a list.
"""

from __future__ import annotations

import json
import re
from typing import Any

from models.held_text import mended

_SUSPECT = re.compile(r"\\u(?:0000|d[89a-f])")  # as `json.dumps` escapes them


def write_document(value: object) -> str:
    text = json.dumps(value)
    return text if _SUSPECT.search(text) is None else json.dumps(mended(value))


def read_document(text: str | bytes) -> Any:
    """An older version of Nasmith may have written it, to SQLite, which takes everything."""
    value = json.loads(text)
    shown = text if isinstance(text, str) else text.decode()
    return value if _SUSPECT.search(shown) is None else mended(value)
