"""`predict.py` is one text of the parts that the samples of a task need."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from models.datasets.dialect import encoding_of
from models.exporters.predicting.predictor import PredictionError
from models.exporters.predicting.text_files import decoded, read_table
from models.exporters.prediction import text
from models.task import TASK_NAMES

FORMS = sorted(set(TASK_NAMES) - {"language_modeling", "multilabel_classification"})
FILES = {"numpy", "PIL"}
"""What arrays and pictures come in; imported where they are read alone."""


@pytest.mark.parametrize("form", FORMS)
def test_the_parts_fit_together(form: str) -> None:
    script = text(form)
    tree = ast.parse(script)
    defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assert len(set(defined)) == len(defined), "parts that define one name twice"
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").partition(".")[0])
    assert imported - sys.stdlib_module_names <= {"torch", "safetensors"} | FILES
    assert ("PIL" in imported) == (form == "image_classification")
    assert ("csv" in imported) and ("difflib" in imported) == (
        form.startswith(("tabular", "text", "forecasting"))
    )


def test_a_table_has_its_header_where_the_known_columns_stand() -> None:
    found = read_table("Report;2024\n\nb;a;;\n1;x;;\n2;y\n\n", ["a", "b"])
    assert found == ({"b": ["1", "2"], "a": ["x", "y"]}, [])
    assert read_table('a\tb\n"1\n2"\t3\n', ["a"])[0] == {"a": ["1\n2"], "b": ["3"]}
    assert read_table("a|b\n", ["b"])[0] == {"a": [], "b": []}
    with pytest.raises(PredictionError, match="row 3 has 3 cells, the header 2"):
        read_table("a,b\n1,2\n1,2,3\n", ["a"])
    with pytest.raises(PredictionError, match="column 'a' more than once"):
        read_table("a,a\n1,2\n", ["a"])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_file_says_how_it_is_written(encoding: str, tmp_path: Path) -> None:
    file = tmp_path / "file.csv"
    text = "größe;name\n1;Käthe\n"
    file.write_text(text, encoding=encoding)
    assert decoded(file.read_bytes(), "utf-8") == text
    assert text == dialect_text(file), "as an upload is read"


def dialect_text(file: Path) -> str:
    return file.read_bytes().decode(encoding_of(file)[0])
