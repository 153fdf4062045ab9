"""Text files in folders of their classes, beside the same texts in a table."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from models.datasets import Dataset
from models.datasets.formats import FormatError
from tests.models.datasets.test_pictures import zipped
from tests.models.support.uploads import read

TASK = "text_classification"
TEXTS = [f"{('good', 'bad')[i % 2]} film number {i}, seen\ntwice" for i in range(60)]
CLASSES = [("pos", "neg")[i % 2] for i in range(60)]
PARTS = [("train", "train", "test")[i // 2 % 3] for i in range(60)]
FLAT = {f"{c}/{i:02}.txt": TEXTS[i].encode() for i, c in enumerate(CLASSES)}
DIVIDED = {f"top/{PARTS[i]}/{n}": content for i, (n, content) in enumerate(FLAT.items())}


def codes(found: Dataset) -> list[str]:
    return [remark.code for remark in found.remarks if remark.code != "few_samples"]


def test_files_in_folders_are_the_rows_of_a_table(tmp_path: Path) -> None:
    more = {"top/README.txt": b"of films", "top/train/urls.txt": b"x", "top/imdb.vocab": b"a"}
    found = read(tmp_path, zipped({**DIVIDED, **more}), TASK)
    order = sorted(range(60), key=lambda i: f"{PARTS[i]}/{CLASSES[i]}/{i:02}")
    frame = pd.DataFrame({"text": TEXTS, "label": CLASSES, "split": PARTS}).iloc[order]
    options = {"text": "text", "target": "label", "split_column": "split"}
    like = read(tmp_path, frame.to_csv(index=False).encode(), TASK, **options)
    assert found.fingerprint == like.fingerprint
    assert found.raw_rows == like.raw_rows
    assert codes(found) == ["files_ignored", "files_ignored", *codes(like)]
    assert [remark.count for remark in found.remarks[:2]] == [1, 2]


def test_texts_without_a_class_are_in_a_folder_of_their_own(tmp_path: Path) -> None:
    more = {f"top/train/unsup/{i}.txt": b"some film" for i in range(9)}
    files = zipped({**DIVIDED, **more})
    with pytest.raises(FormatError, match="folder 'unsup' seems to hold texts without a class"):
        read(tmp_path, files, TASK)
    found = read(tmp_path, files, TASK, unlabelled=True)
    assert found.unlabelled is not None and len(found.unlabelled) == 9
    assert found.preprocessing["classes"] == ["neg", "pos"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({f"{i}.txt": b"a" for i in range(9)}, "0.txt: a text lies in the folder of its class"),
        ({**FLAT, "pos/more/1.txt": b"a"}, "pos/more/1.txt: a text lies in the folder"),
        ({n: c for n, c in FLAT.items() if n[0] == "p"}, "all texts are in one folder, 'pos'"),
        ({**FLAT, "pos/77.txt": b"caf\xe9"}, "pos/77.txt: byte 3 is no utf-8; .* as latin-1"),
    ],
)
def test_a_zip_that_is_not_understood_says_what_would_be(
    files: dict[str, bytes], message: str, tmp_path: Path
) -> None:
    with pytest.raises(FormatError, match=message):
        read(tmp_path, zipped(files), TASK)


def test_an_encoding_is_that_of_all_files(tmp_path: Path) -> None:
    files = {name: content + b" caf\xe9" for name, content in FLAT.items()}
    found = read(tmp_path, zipped(files), TASK, encoding="latin-1")
    assert "caf\u00e9" in found.preprocessing["vocabulary"]
