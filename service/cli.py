"""What the server adds to the command line of the client, `nasmith.cli`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import typer

from nasmith.cli import main
from service.commands import backup, benchmark, doctor, fit, prune, replay, server, train, validate

__all__ = ["add_commands", "main"]

_PANELS: Mapping[str, Mapping[str, Callable[..., None]]] = {
    "Searches": {
        "fit": fit.fit,
        "validate": validate.validate,
        "replay": replay.replay,
    },
    "Networks": {
        "train": train.train,
    },
    "Server": {
        "demo": server.demo,
        "serve": server.serve,
        "dispatch": server.dispatch,
        "migrate": server.migrate,
        "admin-key": server.admin_key,
        "backup": backup.backup,
        "restore": backup.restore,
        "prune": prune.prune,
        "doctor": doctor.doctor,
    },
}


def add_commands(app: typer.Typer) -> None:
    """The entry point of the group `nasmith.commands`."""
    for panel, commands in _PANELS.items():
        for name, command in commands.items():
            app.command(name, rich_help_panel=panel)(command)
    app.add_typer(benchmark.app, name="benchmark", rich_help_panel="Strategies")


if __name__ == "__main__":
    main()
