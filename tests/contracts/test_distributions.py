"""What the two distributions say of themselves agrees: with each other, and with what is tested."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest

from tests.support.imports import ROOT

CLIENT, SERVER = (
    tomllib.loads((ROOT / path).read_text())["project"]
    for path in ("nasmith/pyproject.toml", "pyproject.toml")
)


def test_the_server_depends_on_the_client_of_its_own_version() -> None:
    assert CLIENT["version"] == SERVER["version"]
    assert f"nasmith=={CLIENT['version']}" in SERVER["dependencies"]
    assert CLIENT["requires-python"] == SERVER["requires-python"]


@pytest.mark.parametrize("project", [CLIENT, SERVER], ids=["nasmith", "nasmith-server"])
def test_every_requirement_has_an_exact_version_in_the_constraints(project: dict[str, Any]) -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()[1:]
    pinned = {normal(line.partition("==")[0]) for line in lines}
    named = [
        *project["dependencies"],
        *(text for texts in project.get("optional-dependencies", {}).values() for text in texts),
    ]
    wanted = {normal(re.split(r"[^\w.-]", text)[0]) for text in named} - {"nasmith"}
    assert wanted <= pinned


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
