"""`predict.py` of a model of texts: every file and value that shows the same texts gives the same
answer, and what shows none is refused.
"""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.models.exporters.test_prediction import script
from tests.models.support.bundles import files_of
from tests.models.support.uploads import read

TEXTS = ["great, nice text", "bad awful film", "fine lovely day", "poor sad thing"]
ROWS = [f'"{text}",x' for text in TEXTS]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("texts")
    lines = [f'"{TEXTS[i % 4]} {i}",{"ab"[i % 2]}' for i in range(40)]
    dataset = read(
        folder, "\n".join(["text,label", *lines]).encode(), "text_classification", target="label"
    )
    place, _ = files_of(dataset, "text_cnn", folder)
    return script(place).load(place)


def table(header: str = "text,label", above: str = "", sign: str = ",") -> str:
    rows = [header, *ROWS]
    return above + "".join(row.replace('",x', f'"{sign}x') + "\n" for row in rows)


def asked(model: Any, content: str | bytes, name: str, folder: Path) -> list[dict[str, Any]]:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    found: list[dict[str, Any]] = model.predict(model.read([str(path)]))
    return found


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("\n".join(TEXTS), "texts.txt"),
        ("\r\n".join(TEXTS) + "\r\n", "texts.txt"),
        ("\u2028\n".join(TEXTS), "texts.txt"),  # a separator of lines to Python, not to people
        (table(), "new.csv"),
        (table(above="# of today\n\n"), "new.csv"),
        (table(above="Reviews of today\n\n"), "new.csv"),
        (table(above="sep=;\n", header="text;label", sign=";"), "new.csv"),
        (table("text\tlabel", sign="\t"), "new.tsv"),
        (table(), "new.txt"),
        (table().encode("utf-16"), "new.csv"),
        (table('"text" "label"', sign=" "), "written-by-r.txt"),
    ],
)
def test_a_file_of_texts_gives_what_the_texts_give(
    content: str | bytes, name: str, model: Any, tmp_path: Path
) -> None:
    assert asked(model, content, name, tmp_path) == model.predict(TEXTS)


@pytest.mark.parametrize(
    "texts",
    [
        tuple(TEXTS),
        np.array(TEXTS),
        np.array(TEXTS, dtype=object),
        pd.Series(TEXTS),
        pd.DataFrame({"text": TEXTS}),
        {"text": TEXTS},
        [{"text": text} for text in TEXTS],
    ],
)
def test_texts_are_the_same_in_every_value(texts: Any, model: Any) -> None:
    assert model.predict(texts) == model.predict(TEXTS)


def test_a_line_that_holds_the_name_of_the_column_is_a_text(model: Any, tmp_path: Path) -> None:
    found = asked(model, "this text is nice\n#text, text\n", "new.txt", tmp_path)
    assert found == model.predict(["this text is nice", "#text, text"])


def parquet() -> bytes:
    buffer = io.BytesIO()
    pd.DataFrame({"text": TEXTS}).to_parquet(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ("caf\u00e9\n".encode("latin-1"), "new.txt", "no utf-8 at byte 3; .*--encoding latin-1"),
        (parquet(), "new.parquet", "is a Parquet file, no texts; save the table as CSV"),
        (
            gzip.compress(table().encode(), mtime=0),
            "new.csv.gz",
            "compressed with gzip, no texts; unpack",
        ),
        ('{"text": "great"}\n', "new.jsonl", "is JSON, no texts; save its rows as CSV"),
        (table("Text,label"), "new.txt", "has no column 'text': it has 'Text'"),
        (table("review,label"), "new.csv", "its first line is 'review,label'; a file with a text"),
    ],
)
def test_a_file_that_shows_no_texts_is_refused(
    content: str | bytes, name: str, message: str, model: Any, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        asked(model, content, name, tmp_path)


def test_a_column_that_is_filled_is_an_empty_text(model: Any) -> None:
    with pytest.raises(ValueError, match="no column 'text'"):
        model.predict({"txt": TEXTS})
    assert model.predict({"txt": TEXTS}, missing="fill") == model.predict([""] * 4)
