"""Requests as files: `init` writes one, `validate` checks one, `submit` sends one."""

from __future__ import annotations

import json
import sys
import textwrap
import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import typer

from nasmith.commands.options import Json, Url, client_at
from nasmith.commands.output import UsageError, note, print_json

RequestFile = Annotated[
    str, typer.Argument(metavar="FILE", help="A search as TOML or JSON; - reads stdin.")
]


def init(
    file: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("search.toml"),
    family: Annotated[str, typer.Option(help="Family of networks to start from.")] = "cnn_cell",
    task: Annotated[
        str | None, typer.Option(help="What they are for. [the first task of the family]")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
) -> None:
    """Write an example search with comments, ready to edit and submit."""
    text = example(family, task)
    if file.exists() and not force:
        raise UsageError(f"{file} exists; --force replaces it")
    file.write_text(text, encoding="utf-8")
    note(f"Next: nasmith validate {file}, then nasmith submit {file} --watch")
    print(file)


def example(family: str, task: str | None) -> str:
    """A search as commented TOML, put together from the templates of task and family.

    Raises:
        UsageError: no such family, or one that is not for the task.
    """
    from models.family import families
    from models.registry import UnknownNameError
    from models.task import TASK_NAMES

    try:
        tasks = [name for name in TASK_NAMES if name in families[family].tasks]
    except UnknownNameError as error:
        raise UsageError(str(error)) from None
    if task is not None and task not in tasks:
        raise UsageError(f"{family} is for {', '.join(tasks)}, got --task {task}")
    parts = (f"tasks/{task or tasks[0]}.toml", f"families/{family}.toml", "search.toml")
    templates = resources.files("nasmith") / "templates"
    return "".join((templates / part).read_text(encoding="utf-8") for part in parts)


def validate(file: RequestFile, url: Url = None, as_json: Json = False) -> None:
    """Check a search and show the size of its space, three example networks and what it costs.

    Checked here, without a server; with --url or NASMITH_URL by that server, which knows its own
    datasets. Nothing is stored.
    """
    request = read_request(file)
    if url:
        with client_at(url) as client:
            answer = client.validate(request)
    else:
        answer = _validate_here(request)
    if as_json:
        print_json(answer)
    else:
        _print_estimate(answer)


def read_request(file: str) -> dict[str, Any]:
    """The body of a search from a TOML or JSON file.

    Raises:
        UsageError: not readable, neither TOML nor JSON, or with values that JSON has not.
    """
    name = "stdin" if file == "-" else file
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot read {name}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{name} is not UTF-8 text") from None
    is_json = text.lstrip()[:1] in ("{", "[") and not file.endswith(".toml")
    try:
        request = json.loads(text) if is_json else tomllib.loads(text)
        json.dumps(request, allow_nan=False)
    except (json.JSONDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{name} is no {'JSON' if is_json else 'TOML'}: {error}") from None
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"{name} holds a value that JSON has not: {error}") from None
    if not isinstance(request, dict):
        raise UsageError(f"{name} holds no object, but {type(request).__name__}")
    return request


def _validate_here(request: dict[str, Any]) -> dict[str, Any]:
    """The same answer as a server's, for the datasets that are built in."""
    from search.request.dry_run import estimate
    from search.request.resolve import SpecError, resolve

    try:
        resolved = resolve(request)
    except SpecError as error:
        problems = "\n".join(f"  {found.pointer}: {found.message}" for found in error.problems)
        if any(found.pointer == "/dataset" for found in error.problems):
            problems += "\n  Your own datasets are known to a server: check with --url."
        raise UsageError(f"the search is not valid\n{problems}") from None
    if resolved.spec.warm_start:
        note("A server knows the searches of warm_start: check them with --url.")
    return {"spec": resolved.spec.to_json(), **estimate(resolved)}


def _print_estimate(answer: dict[str, Any]) -> None:
    spec, size = answer["spec"], answer["size"]
    limit = answer["seconds_limit"]
    flops = answer["training_flops"]
    compared = (
        f", {answer['baseline_trials']:,.0f} of the baseline" if answer["baseline_trials"] else ""
    )
    trials = (
        f"{answer['trials']:,.0f}{compared}, then {answer['final_trials']:,.0f} final trainings"
    )
    rows = [
        ("search", spec["name"]),
        ("space", "infinite" if size is None else f"{size:,.0f} points"),
        ("trials", trials),
        ("epochs", f"{answer['epochs']:,} in all"),
        ("cost", "unknown" if flops is None else f"about {flops:.2g} FLOPs of training"),
        ("time", "no limit" if limit is None else f"the search stage ends after {limit:g} s"),
    ]
    for name, value in rows:
        print(f"{name:<8}{value}")
    print("\nNetworks of this space, drawn at random:")
    for number, example in enumerate(answer["examples"], 1):
        violation = f", breaks a constraint: {example['violation']}" if example["violation"] else ""
        print(
            f"  {number}. {example['parameters']:,.0f} parameters, {example['flops']:,.0f} FLOPs"
            f"{violation}"
        )
        decisions = (f"{k}={v}" for k, v in example["architecture"]["decisions"].items())
        print(
            textwrap.fill(
                " ".join(decisions), 100, initial_indent=5 * " ", subsequent_indent=5 * " "
            )
        )
