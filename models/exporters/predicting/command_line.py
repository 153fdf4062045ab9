"""The command line of `predict.py`."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from typing import TextIO

from models.exporters.predicting.predictor import PredictionError, Predictor
from models.exporters.predicting.results import Rows


def write_table(names: Sequence[str], rows: Rows, file: TextIO) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)


def main(model: Predictor) -> None:
    """Results as a CSV to stdout, what there is to say of the samples to stderr."""
    about = "Predictions of this model, from data as people have them."
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("input", nargs="+", help="a CSV, pictures, a file with a text a line, .npz")
    parser.add_argument("--missing", choices=("error", "fill"), default="error")
    parser.add_argument("--encoding", default="utf-8")
    arguments = parser.parse_args()
    try:
        samples = model.read(arguments.input, arguments.encoding)
        write_table(*model.table(samples, missing=arguments.missing), sys.stdout)
    except (OSError, UnicodeError, PredictionError) as error:
        print(f"predict.py: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    for line in model.told():
        print(line, file=sys.stderr)
