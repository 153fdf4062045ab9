"""The command line, `nasmith`.

Exit codes: 0 ok; 1 the search failed; 2 usage, a request that is not valid included; 3 not found;
4 not allowed; 5 the server failed or cannot be reached.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import typer

from nasmith.commands import datasets, files, reports, searches
from nasmith.commands.output import end_with
from service.commands import benchmark, doctor, server, train

app = typer.Typer(
    help="Neural architecture search as a service.",
    epilog="Exit codes: 0 ok, 1 failed search, 2 usage, 3 not found, 4 not allowed, 5 server.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_PANELS: Mapping[str, Mapping[str, Callable[..., None]]] = {
    "Searches": {
        "init": files.init,
        "validate": files.validate,
        "submit": searches.submit,
        "list": searches.list_searches,
        "watch": searches.watch,
        "show": searches.show,
        "trials": searches.trials,
        "download": searches.download,
        "cancel": searches.cancel,
        "pause": searches.pause,
        "resume": searches.resume,
        "report": reports.report,
        "compare": reports.compare,
        "replay": reports.replay,
    },
    "Networks": {
        "train": train.train,
    },
    "Server": {
        "demo": server.demo,
        "serve": server.serve,
        "dispatch": server.dispatch,
        "migrate": server.migrate,
        "doctor": doctor.doctor,
        "version": server.version,
    },
}

for _panel, _commands in _PANELS.items():
    for _name, _command in _commands.items():
        app.command(_name, rich_help_panel=_panel)(_command)

app.add_typer(datasets.app, name="datasets", rich_help_panel="Searches")
app.add_typer(benchmark.app, name="benchmark", rich_help_panel="Strategies")


def main() -> None:
    """The console script."""
    try:
        app(prog_name="nasmith")
    except Exception as error:
        end_with(error)


if __name__ == "__main__":
    main()
