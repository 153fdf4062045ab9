"""The command line of `predict.py`."""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections.abc import Sequence
from typing import TextIO

from models.exporters.predicting.predictor import PredictionError, Predictor
from models.exporters.predicting.results import Rows

CLOSED = 141
"""The exit status of a command whose output nobody reads any more, as shells have it."""


def write_table(names: Sequence[str], rows: Rows, file: TextIO) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)


def main(model: Predictor, takes: str) -> None:
    """Results as a CSV to stdout, what there is to say of the samples to stderr. Where nobody reads
    on, it ends as other commands do.

    takes: what an input is, for people.
    """
    arguments = parser_of(model, takes).parse_args()
    try:
        samples = model.read(arguments.input, arguments.encoding)
        names, rows = model.table(samples, missing=arguments.missing)
    except (OSError, UnicodeError, PredictionError) as error:
        raise ended(error) from None
    try:
        write_table(names, rows, sys.stdout)
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is left to write
        raise ended(error) from None
    for line in model.told():
        print(line, file=sys.stderr)


def ended(error: Exception) -> SystemExit:
    if isinstance(error, BrokenPipeError):
        return SystemExit(CLOSED)
    print(f"predict.py: {error}", file=sys.stderr)
    return SystemExit(2)


def parser_of(model: Predictor, takes: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Predictions of this model, from data as people have them, as a CSV.",
        epilog=f"Columns that it needs: {', '.join(model.columns)}" if model.columns else None,
    )
    parser.add_argument("input", nargs="+", help=takes)
    parser.add_argument(
        "--missing",
        choices=("error", "fill"),
        default="error",
        help="of a column that is not given: an error, or every cell of it counts as missing",
    )
    parser.add_argument("--encoding", default="utf-8", help="of a text  [default: utf-8]")
    return parser
