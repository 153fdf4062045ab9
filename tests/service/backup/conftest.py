import os
from collections.abc import Iterator

import pytest

from tests.support.command_line import nasmith

__all__ = ["nasmith"]


@pytest.fixture(autouse=True)
def own_umask() -> Iterator[None]:
    """A restore closes what this process writes from then on."""
    before = os.umask(0o022)
    yield
    os.umask(before)
