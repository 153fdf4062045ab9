"""Options and settings that several commands of the server share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasmith.commands.output import UsageError

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

    from service.settings import ServiceSettings

Home = Annotated[
    Path | None,
    typer.Option(
        "--home",
        envvar="NASMITH_HOME",
        help="Folder of the embedded database, artifacts and logs. [~/.nasmith]",
    ),
]


def settings_of(home: Path | None, **overrides: object) -> ServiceSettings:
    """The settings of the environment, with what the flags say instead.

    Raises:
        UsageError: a setting has no valid value.
    """
    from pydantic import ValidationError

    from service.settings import ServiceSettings

    given = {name: value for name, value in overrides.items() if value is not None}
    if home is not None:
        given["home"] = home
    try:
        return ServiceSettings(**given)  # type: ignore[arg-type]  # validated by pydantic
    except ValidationError as error:
        problems = [
            "".join(f"NASMITH_{str(name).upper()}: " for name in problem["loc"][:1])
            + problem["msg"].removeprefix("Value error, ")
            for problem in error.errors(include_input=False)
        ]
        raise UsageError("\n  ".join(["a setting is wrong", *problems])) from None


def wrong_setting(whose: str, known: type[BaseModel], error: ValidationError) -> UsageError:
    """What a person reads of settings that pydantic refused; of an unknown one, what there is."""
    names = ", ".join(sorted(known.model_fields.keys() - {"name"})) or "none"
    problems = []
    for found in error.errors(include_url=False, include_context=False):
        setting = ".".join(map(str, found["loc"])) or whose
        if found["type"] == "extra_forbidden" and len(found["loc"]) == 1:
            problems.append(f"{setting}: there is no such setting, known are {names}")
        else:
            problems.append(f"{setting}: {found['msg']}")
    return UsageError("\n  ".join([f"a setting of {whose} is wrong", *problems]))
