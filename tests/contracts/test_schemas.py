"""The JSON Schema of every settings class is one, and its defaults are valid by it."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from models.settings import Settings
from search.fidelity import fidelities
from search.spaces import spaces
from search.strategy import strategies

SETTINGS = {
    f"{kind} {name}": entry.Settings
    for kind, entries in (("space", spaces), ("strategy", strategies), ("fidelity", fidelities))
    for name, entry in entries.items()
}


@pytest.mark.parametrize("name", SETTINGS)
def test_defaults_are_valid_by_the_schema(name: str) -> None:
    settings: type[Settings] = SETTINGS[name]
    schema: dict[str, Any] = settings.model_json_schema()
    Draft202012Validator.check_schema(schema)
    for field, described in schema["properties"].items():
        if "default" in described and field not in ("name", "family"):
            whole = {**described, "$defs": schema.get("$defs", {})}
            Draft202012Validator(whole).validate(described["default"])
