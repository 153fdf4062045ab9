"""Uploads are read by forks of a child, and a server that is killed leaves none of them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from models.datasets.formats import FormatError, Options, Upload
from models.sandbox import Limits, facts_in, parse

PARSE = """
import sys
from pathlib import Path
from models.datasets.formats import Options, Upload
from models.sandbox import parse
parse(Upload(Path(sys.argv[1]), "mine", "tabular_classification", Options()), Path(sys.argv[2]))
"""


def test_a_parser_ends_with_who_asked(tmp_path: Path) -> None:
    pipe = tmp_path / "upload.csv"
    os.mkfifo(pipe)  # whoever reads it waits for ever
    command = [sys.executable, "-c", PARSE, str(pipe), str(tmp_path / "target")]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
        deadline = time.monotonic() + 60
        while len(children := psutil.Process(server.pid).children(recursive=True)) < 2:
            assert time.monotonic() < deadline and server.poll() is None
            time.sleep(0.02)
        server.kill()
    assert psutil.wait_procs(children, 30)[1] == []


def test_a_file_that_becomes_too_large_is_refused_in_words(tmp_path: Path) -> None:
    """800 bytes of CSV are 100 samples of four float32, which no kilobyte holds."""
    table = tmp_path / "table.csv"
    table.write_text("a,b,c,d,label\n" + "".join(f"{n},1,2,3,{n % 2}\n" for n in range(100)))
    upload = Upload(table, "mine", "tabular_classification", Options(target="label"))
    with pytest.raises(FormatError) as refused:
        parse(upload, tmp_path / "target", Limits(output_bytes=1000))
    assert str(refused.value) == "it becomes a file of more than 1,000 bytes"


def test_text_that_no_database_holds_leaves_the_cage_in_no_form() -> None:
    facts = {"format": "image_arrays", "classes": ["a", "b"], "columns": [{"name": "x"}]}
    assert facts_in(facts) is facts
    for wrong, said in (
        ({"classes": ["a", "b\ud800"]}, "half of a surrogate pair (in classes 1)"),
        ({"columns": [{"name": "a\0b"}]}, "a NUL character (in columns 0 name)"),
        ({"samples": {"\udfff": 1}}, "half of a surrogate pair (in samples)"),
    ):
        with pytest.raises(FormatError) as refused:
            facts_in({**facts, **wrong})
        assert said in str(refused.value)
    with pytest.raises(FormatError, match="a\N{REPLACEMENT CHARACTER}b is no number"):
        facts_in({"error": "a\0b is no number", "option": None})
