"""The templates know the families and tasks that the server has, without asking it."""

from __future__ import annotations

import tomllib
from importlib import resources

from models.task import TASK_NAMES, served
from search.spaces import TABLE, spaces


def test_the_index_of_templates_is_what_the_families_say() -> None:
    index = resources.files("nasmith") / "templates" / "families.toml"
    known = tomllib.loads(index.read_text(encoding="utf-8"))
    assert known == {
        name: [task for task in (*TASK_NAMES, TABLE) if task in served(spaces[name].tasks)]
        for name in spaces
    }
