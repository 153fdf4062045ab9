"""What is imported stays: the collector of cyclic garbage, which would look at all of it again and
again, takes a fifth of the start, and later holds up every thread for as long as a look takes.
"""

from __future__ import annotations

import gc


def stop_collecting() -> None:
    """Before a process imports what it needs."""
    gc.disable()


def keep_what_is_there() -> None:
    """After it: what came since is collected from now on, and nothing that was there."""
    gc.freeze()
    gc.enable()
