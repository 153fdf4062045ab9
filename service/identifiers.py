"""Identifiers: a prefix that says what it names, and a UUIDv7, so that they sort by time.

RFC 9562, section 5.7; the 12 bits below the millisecond hold its fraction (section 6.2, method 3).
"""

from __future__ import annotations

import re
import secrets
import threading
import time
import uuid

SEARCH_PREFIX, DATASET_PREFIX, KEY_PREFIX = "srch_", "data_", "key_"
WEBHOOK_PREFIX, MESSAGE_PREFIX = "hook_", "msg_"
_UUID7_PATTERN = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
SEARCH_ID_PATTERN = rf"^{SEARCH_PREFIX}{_UUID7_PATTERN}$"
KEY_ID_PATTERN = rf"^{KEY_PREFIX}{_UUID7_PATTERN}$"
WEBHOOK_ID_PATTERN = rf"^{WEBHOOK_PREFIX}{_UUID7_PATTERN}$"
MESSAGE_ID_PATTERN = rf"^{MESSAGE_PREFIX}{_UUID7_PATTERN}$"

_search_id, _key_id = re.compile(SEARCH_ID_PATTERN), re.compile(KEY_ID_PATTERN)
_webhook_id, _message_id = re.compile(WEBHOOK_ID_PATTERN), re.compile(MESSAGE_ID_PATTERN)
_lock = threading.Lock()
_last_tick = 0


def uuid7() -> uuid.UUID:
    """A UUIDv7, greater than every earlier one of this process."""
    global _last_tick
    milliseconds, nanoseconds = divmod(time.time_ns(), 1_000_000)
    with _lock:
        tick = max(milliseconds << 12 | (nanoseconds << 12) // 1_000_000, _last_tick + 1)
        _last_tick = tick
    value = (tick >> 12) << 80 | 7 << 76 | (tick & 0xFFF) << 64 | 2 << 62 | secrets.randbits(62)
    return uuid.UUID(int=value)


def new_search_id() -> str:
    return f"{SEARCH_PREFIX}{uuid7()}"


def new_dataset_id() -> str:
    return f"{DATASET_PREFIX}{uuid7()}"


def new_key_id() -> str:
    """Of an API key; it opens nothing."""
    return f"{KEY_PREFIX}{uuid7()}"


def new_webhook_id() -> str:
    return f"{WEBHOOK_PREFIX}{uuid7()}"


def new_message_id() -> str:
    """Of a delivery to a webhook, the same at each attempt."""
    return f"{MESSAGE_PREFIX}{uuid7()}"


def age_seconds(identifier: str) -> float:
    """Since it was made; 0 where it is none of ours."""
    try:
        value = uuid.UUID(identifier.partition("_")[2])
    except ValueError:
        return 0.0
    return time.time() - (value.int >> 80) / 1000


def is_search_id(text: str) -> bool:
    return _search_id.fullmatch(text) is not None


def is_key_id(text: str) -> bool:
    return _key_id.fullmatch(text) is not None


def is_webhook_id(text: str) -> bool:
    return _webhook_id.fullmatch(text) is not None


def is_message_id(text: str) -> bool:
    return _message_id.fullmatch(text) is not None
