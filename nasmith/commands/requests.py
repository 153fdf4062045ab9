"""Searches as files, and what a server, or this machine, says that one of them means."""

from __future__ import annotations

import json
import sys
import textwrap
import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer

from nasmith.commands.output import UsageError, note

RequestFile = Annotated[
    str, typer.Argument(metavar="FILE", help="A search as TOML or JSON; - reads stdin.")
]


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


def print_estimate(answer: dict[str, Any]) -> None:
    """What `POST /v1/searches?dry_run=true` answers, for a person."""
    note_warnings(answer)
    spec, size = answer["spec"], answer["size"]
    limit = answer["seconds_limit"]
    flops = answer["training_flops"]
    compared = (
        f", {answer['baseline_trials']:,.0f} of the baseline" if answer["baseline_trials"] else ""
    )
    folds = answer.get("networks_per_trial", 1)  # older servers know none
    of_folds = f" of {folds} networks each" if folds > 1 else ""
    trials = (
        f"{answer['trials']:,.0f}{of_folds}{compared}, "
        f"then {answer['final_trials']:,.0f} final trainings"
    )
    steps = answer.get("steps_per_trial")  # nor that
    of_steps = f", {steps:,} steps a trial" if steps else ""
    rows = [
        ("search", spec["name"]),
        ("space", "infinite" if size is None else f"{size:,.0f} points"),
        ("trials", trials),
        ("epochs", f"{answer['epochs']:,} in all{of_steps}"),
        ("cost", "unknown" if flops is None else f"about {flops:.2g} FLOPs of training"),
        ("time", "no limit" if limit is None else f"the search stage ends after {limit:g} s"),
    ]
    if answer.get("baseline"):  # older servers give none
        metrics = [o["metric"] for o in spec["objectives"] if o["metric"] in answer["baseline"]]
        floor = ", ".join(f"{metric} {answer['baseline'][metric]:.4g}" for metric in metrics)
        rows.append(("floor", f"{floor} by what knows nothing"))
    for known in answer.get("memory", ()):  # older servers give none
        told = f"{known['recollections']} results of {known['search']} on {known['dataset']}"
        rows.append(("memory", told))
    for name, value in rows:
        print(f"{name:<8}{value}")
    print("\nNetworks of this space, drawn at random:")
    for number, example in enumerate(answer["examples"], 1):
        costs = (("parameters", "parameters"), ("flops", "FLOPs"))  # a table may not know them
        known = [f"{example[key]:,.0f} {name}" for key, name in costs if key in example]
        if example["violation"]:
            known.append(f"breaks a constraint: {example['violation']}")
        print(f"  {number}. {', '.join(known)}".rstrip())
        decisions = (f"{k}={v}" for k, v in example["architecture"]["decisions"].items())
        print(
            textwrap.fill(
                " ".join(decisions), 100, initial_indent=5 * " ", subsequent_indent=5 * " "
            )
        )


def note_warnings(answer: dict[str, Any]) -> None:
    """What to change in a request that was taken; on stderr."""
    for found in answer.get("warnings", ()):  # older servers give none
        note(f"warning: {found['where']}: {found['message']}")
