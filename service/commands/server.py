"""Commands that run Nasmith itself: serve, dispatch, migrate, demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nasmith.commands.options import Json
from nasmith.commands.output import UsageError, note, print_json
from service.commands.options import Home, database_is_needed, settings_of
from service.own_packages import ForeignPackageError, refuse_foreign_packages

_WHO_MAY = {
    "none": "Nobody is asked for a key: who reaches this address may do anything (--auth keys).",
    "keys": "Everybody is asked for a key; that of the first admin is in {file}.",
}


def serve(
    host: Annotated[
        str | None, typer.Option(envvar="NASMITH_HOST", help="Address. [127.0.0.1]")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(envvar="NASMITH_PORT", min=0, max=65535, help="0: any free one. [8000]"),
    ] = None,
    auth: Annotated[
        str | None,
        typer.Option(
            envvar="NASMITH_AUTH",
            metavar="none|keys",
            help="Whether who asks has to bring a key; none is for loopback alone. [none]",
        ),
    ] = None,
    dispatcher: Annotated[
        bool,
        typer.Option("--dispatcher/--no-dispatcher", help="Run searches here, or only the API."),
    ] = True,
    port_file: Annotated[
        Path | None,
        typer.Option(help="Where to write URL and pid when ready. [HOME/server.json]"),
    ] = None,
    insecure_no_auth: Annotated[
        bool,
        typer.Option(
            "--insecure-no-auth",
            envvar="NASMITH_INSECURE_NO_AUTH",
            help="Serve beyond this machine though nobody is asked for a key.",
        ),
    ] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Serve the API and run the searches, until SIGTERM or Ctrl-C."""
    _refuse_foreign_packages()
    settings = settings_of(home, host=host, port=port, auth=auth)
    from importlib.metadata import version as version_of

    from service.server.serve import ServeError
    from service.server.serve import serve as run

    def on_ready(url: str) -> None:
        if as_json:
            print_json({"url": url, "home": str(settings.home), "auth": settings.auth})
        else:
            note(f"Nasmith {version_of('nasmith-server')} at {url} - API: {url}/docs")
            note(f"Data in {settings.home}. Ctrl-C stops it; searches go on at the next start.")
            note(_WHO_MAY[settings.auth].format(file=settings.admin_key))

    try:
        with database_is_needed(settings):
            run(
                settings,
                with_dispatcher=dispatcher,
                port_file=port_file,
                is_exposed_on_purpose=insecure_no_auth,
                on_ready=on_ready,
            )
    except ServeError as error:
        raise UsageError(str(error)) from None


def dispatch(home: Home = None) -> None:
    """Run queued searches, until SIGTERM or Ctrl-C; for a server with --no-dispatcher."""
    _refuse_foreign_packages()
    settings = settings_of(home)
    from service.running.dispatcher import dispatch as run

    run(settings)


def migrate(home: Home = None) -> None:
    """Bring the database to this version's schema; safe from several machines at once."""
    settings = settings_of(home)
    from service.sql.database import migrate as run

    with database_is_needed(settings):
        run(settings.database_url)
    note("The database is up to date.")


def admin_key(home: Home = None) -> None:
    """Write a new key of an admin to its file (HOME/admin-key), where the last one is lost.

    Who may use the database needs no key for this. The lost one is good until it is revoked.
    """
    settings = settings_of(home)
    from service.server.admin_key import write_admin_key
    from service.sql.database import migrate as bring_up

    with database_is_needed(settings):
        settings.home.mkdir(parents=True, exist_ok=True)
        bring_up(settings.database_url)
        print(write_admin_key(settings, is_lost=True))
    note("It opens everything. The lost one is in `nasmith keys list`, and good until revoked.")


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the model.")] = Path(
        "nasmith-demo"
    ),
    as_json: Json = False,
) -> None:
    """Search a network for handwritten digits, download it and score it without Nasmith.

    Starts a server of its own on a free port and stops it in the end. About a minute or two.
    """
    from service.commands.demo import run_demo

    result = run_demo(output)
    if as_json:
        print_json(result)


def _refuse_foreign_packages() -> None:
    try:
        refuse_foreign_packages()
    except ForeignPackageError as error:
        raise UsageError(str(error)) from None
