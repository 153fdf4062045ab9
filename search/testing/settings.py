"""What holds for the settings of every entry that has some."""

from __future__ import annotations

from pydantic import ValidationError

from models.settings import Settings


def check_described(settings: type[Settings], key: str) -> None:
    """They say what they are, each but `key` what it is for; the defaults are a request and come
    back from JSON; what they do not know, they refuse.
    """
    assert settings.__doc__, f"{settings.__name__} says nothing"
    schema = settings.model_json_schema()
    assert schema["additionalProperties"] is False, f"{settings.__name__} takes any field"
    for field, described in schema["properties"].items():
        assert field == key or described.get("description"), f"{field} says nothing"
    assert settings.model_validate(settings().model_dump(mode="json")) == settings()
    try:
        settings.model_validate({"no_such_setting": 1})
    except ValidationError:
        return
    raise AssertionError(f"{settings.__name__} takes a setting that does not exist")
