"""The templates know the families and tasks that the server has, without asking it."""

from __future__ import annotations

import tomllib
from importlib import resources

from models.family import families
from models.task import TASK_NAMES


def test_the_index_of_templates_is_what_the_families_say() -> None:
    index = resources.files("nasmith") / "templates" / "families.toml"
    known = tomllib.loads(index.read_text(encoding="utf-8"))
    assert known == {
        name: [task for task in TASK_NAMES if task in families[name].tasks] for name in families
    }
