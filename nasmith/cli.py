"""The command line, `nasmith`.

Exit codes: 0 ok; 1 the search failed; 2 usage, a request that is not valid included; 3 not found;
4 not allowed; 5 the server failed or cannot be reached.

Another distribution adds commands by an entry point of the group `nasmith.commands`: a function
that is given the `typer.Typer`. The server's are added so; they import heavy things inside of the
commands, so that help is quick.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from nasmith.commands import (
    compare,
    datasets,
    init,
    keys,
    predictions,
    reports,
    searches,
    version,
    webhooks,
)
from nasmith.commands.output import UsageError, end_with, note

GROUP = "nasmith.commands"

SERVER = "nasmith-server"
OF_THE_SERVER = frozenset(
    {
        "fit",
        "validate",
        "replay",
        "train",
        "benchmark",
        "demo",
        "serve",
        "dispatch",
        "migrate",
        "admin-key",
        "backup",
        "restore",
        "prune",
        "doctor",
    }
)
"""Its commands."""

_PANELS: Mapping[str, Mapping[str, Callable[..., None]]] = {
    "Searches": {
        "init": init.init,
        "submit": searches.submit,
        "list": searches.list_searches,
        "watch": searches.watch,
        "show": searches.show,
        "trials": searches.trials,
        "download": searches.download,
        "predict": predictions.predict,
        "cancel": searches.cancel,
        "pause": searches.pause,
        "resume": searches.resume,
        "report": reports.report,
        "compare": compare.compare,
    },
    "This command": {
        "version": version.version,
    },
}


class Commands(TyperGroup):
    """Says of a command of the server what has to be installed to have it."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] in OF_THE_SERVER and args[0] not in self.commands:
            state = "does not work" if version.installed(SERVER) else "is not installed"
            raise UsageError(
                f"`nasmith {args[0]}` comes with the distribution {SERVER}, which {state} here\n"
                "  It wants an environment of its own: see Install in the README."
            )
        return super().resolve_command(ctx, args)


@cache
def application() -> typer.Typer:
    """All commands: the client's own, and those that other distributions add."""
    app = typer.Typer(
        cls=Commands,
        help="Neural architecture search as a service.",
        epilog="Exit codes: 0 ok, 1 failed search, 2 usage, 3 not found, 4 not allowed, 5 server.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for panel, commands in _PANELS.items():
        for name, command in commands.items():
            app.command(name, rich_help_panel=panel)(command)
    app.add_typer(datasets.app, name="datasets", rich_help_panel="Searches")
    app.add_typer(keys.app, name="keys", rich_help_panel="Access")
    app.add_typer(webhooks.app, name="webhooks", rich_help_panel="Access")
    for entry in entry_points(group=GROUP):
        try:
            entry.load()(app)
        except Exception as error:  # whatever it is, the other commands work
            note(f"nasmith: the commands of {_whose(entry)} are left out: {error}{_where(entry)}")
    return app


def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=version.print_and_exit, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """What `nasmith` itself takes."""


def _whose(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else entry.value


def _where(entry: EntryPoint) -> str:
    """Where its package was found: it may be somebody else's of the same name."""
    package = entry.module.partition(".")[0]
    spec = find_spec(package)
    return f"; {package} is {spec.origin}" if spec and spec.origin else ""


def main() -> None:
    """The console script."""
    try:
        application()(prog_name="nasmith")
    except Exception as error:
        end_with(error)


if __name__ == "__main__":
    main()
