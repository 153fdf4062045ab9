"""Uploads are read by a child, and a server that is killed leaves no such child."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil

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
        while not (children := psutil.Process(server.pid).children()):
            assert time.monotonic() < deadline and server.poll() is None
            time.sleep(0.02)
        server.kill()
    assert psutil.wait_procs(children, 30)[1] == []
