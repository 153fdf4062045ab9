from __future__ import annotations

import gc

from service.server.garbage import keep_what_is_there, stop_collecting


def test_what_was_there_is_kept_and_what_comes_is_collected() -> None:
    stop_collecting()
    try:
        assert not gc.isenabled()
    finally:
        keep_what_is_there()
    assert gc.isenabled()
    kept = gc.get_freeze_count()
    gc.unfreeze()  # this process goes on with other tests
    assert kept > 10_000  # an interpreter with pytest has more
