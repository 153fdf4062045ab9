"""Files wait for each other without threads, and slow ones hold up nobody."""

from __future__ import annotations

import asyncio
import threading

import pytest

from service.api.datasets import lanes
from service.api.datasets.lanes import AT_A_TIME, SMALL_BYTES, Lanes

LARGE = SMALL_BYTES + 1


def test_slow_files_hold_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two large ones that never end, two small ones that do not either, and many small ones."""
    monkeypatch.setattr(lanes, "SLOW_SECONDS", 0.02)
    hold, names = threading.Event(), []

    async def main(slow_sizes: list[int]) -> None:
        found = Lanes()
        slow = [asyncio.create_task(found.run(size, hold.wait)) for size in slow_sizes]
        await asyncio.sleep(0.05)
        before = threading.active_count()
        small = [found.run(1, lambda n=n: names.append(n)) for n in range(50)]
        await asyncio.wait_for(asyncio.gather(*small), 30)
        assert threading.active_count() - before <= 2 * AT_A_TIME
        assert not any(task.done() for task in slow)
        hold.set()
        await asyncio.gather(*slow)
        found.close()

    asyncio.run(main([LARGE] * 10))
    assert sorted(names) == list(range(50))
    hold.clear()
    names.clear()
    asyncio.run(main([1] * AT_A_TIME))
    assert sorted(names) == list(range(50))


def test_a_place_is_free_again_whatever_reading_came_to() -> None:
    def fail() -> None:
        raise ValueError("no dataset")

    async def main() -> None:
        found = Lanes()
        for size in (1, LARGE):
            for _ in range(3 * AT_A_TIME):
                with pytest.raises(ValueError, match="no dataset"):
                    await found.run(size, fail)
            assert await found.run(size, lambda: 7) == 7
        found.close()

    asyncio.run(main())
