"""What holds for all tests."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

# A shared machine may stall for a second: no test fails because an example was slow.
settings.register_profile("nasmith", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("nasmith")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: at the end no worker waits for another one's minutes."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
