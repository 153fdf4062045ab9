"""`nasmith init`: an example of a search, put together from templates."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from nasmith.commands.output import UsageError, note


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
    note(f"Next: nasmith submit {file} --dry-run, then nasmith submit {file} --watch")
    print(file)


def example(family: str, task: str | None) -> str:
    """A search as commented TOML, put together from the templates of task and family.

    Raises:
        UsageError: no such family, or one that is not for the task.
    """
    templates = resources.files("nasmith") / "templates"
    known = tomllib.loads((templates / "families.toml").read_text(encoding="utf-8"))
    if family not in known:
        raise UsageError(f"unknown family {family!r}, known are {', '.join(sorted(known))}")
    tasks = known[family]
    if task is not None and task not in tasks:
        raise UsageError(f"{family} is for {', '.join(tasks)}, got --task {task}")
    parts = [f"tasks/{task or tasks[0]}.toml", f"families/{family}.toml", "search.toml"]
    if (
        family != "table"
    ):  # what is only looked up has no cost, takes no processor, is not retrained
        parts.append("networks.toml")
    return "".join((templates / part).read_text(encoding="utf-8") for part in parts)
