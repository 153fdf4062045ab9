"""The body of a request, of which is known what is valid even where not all of it is."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationInfo, field_validator

from models.settings import Settings


class Body(Settings):
    """Validated with a dict as its context, it leaves each valid field there by name, defaults
    included: one pass over a body gives its errors, and the values that others are held against.
    """

    @field_validator("*", mode="after")
    @classmethod
    def _note(cls, value: Any, info: ValidationInfo) -> Any:
        if info.context is not None:
            info.context[info.field_name] = value
        return value
