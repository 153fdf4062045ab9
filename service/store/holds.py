"""While a backup is made or put back, nobody sweeps the store: what a row of the snapshot names is
there until it has been copied.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager

from models.processes.names import is_gone, process_name
from service.store.layout import HOLDS
from service.store.store import Store

LONGEST_SECONDS = 24 * 3600.0
"""After which the hold of a process on a machine that nobody hears of is void."""


@contextmanager
def held(store: Store) -> Iterator[None]:
    """A hold is a file in the store itself: whoever can sweep it sees the hold."""
    path = f"{HOLDS}/{secrets.token_hex(8)}.json"
    hold = {"holder": process_name(), "until": time.time() + LONGEST_SECONDS}
    store.write(path, json.dumps(hold).encode())
    try:
        yield
    finally:
        store.remove([path])


def is_held(store: Store) -> bool:
    """Whether a hold is good. Who is about to remove files asks after it has read that they are
    not needed: a snapshot that was taken under a hold then knows of it, too.
    """
    for path in store.files_under(HOLDS):
        try:
            hold = json.loads(store.read(path))
        except FileNotFoundError:  # given back a moment ago
            continue
        if hold["until"] > time.time() and not is_gone(hold["holder"]):
            return True
    return False
