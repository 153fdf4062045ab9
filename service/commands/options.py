"""Options and settings that several commands of the server share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasmith.commands.output import AwayError, UsageError, note

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
    """The settings of the environment, with what the flags say instead. A variable that only
    looks like ours is told.

    Raises:
        UsageError: a setting has no valid value, or is probably misspelt.
    """
    from pydantic import ValidationError

    from service.settings import ServiceSettings, unknown_variables

    unknown = unknown_variables(os.environ)
    if misspelt := [variable for variable in unknown if variable.nearest is not None]:
        lines = [f"{variable.name}: did you mean {variable.nearest}?" for variable in misspelt]
        raise UsageError("\n  ".join(["there is no such setting", *lines]))
    for variable in unknown:
        note(f"nasmith: {variable.name} is no setting of Nasmith; it is ignored")
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


@contextmanager
def database_is_needed(settings: ServiceSettings) -> Iterator[None]:
    """
    Raises:
        AwayError: in the block, the database did not answer.
    """
    from sqlalchemy import make_url
    from sqlalchemy.exc import SQLAlchemyError

    from service.sql.outages import is_outage

    try:
        yield
    except SQLAlchemyError as error:
        if not is_outage(error):
            raise
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        shown = make_url(settings.database_url).render_as_string(hide_password=True)
        raise AwayError(
            f"the database {shown} does not answer: {reason}\n"
            "  Is it running, and is NASMITH_DATABASE_URL right?"
        ) from None


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
