"""R12 on a real file system that is full: a small tmpfs in a mount namespace."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.figures import Figures

pytestmark = pytest.mark.slow

MIB = 24
ON_A_DISK = f'mount -t tmpfs -o size={MIB}m none "$0" && exec "$@"'


def test_a_full_disk_loses_nothing_and_is_told(tmp_path: Path, figures: Figures) -> None:
    """Below the reserve a search is paused with the cause; without a byte left the API answers 507,
    and what a driver cannot write it writes when there is space. Where nobody may make a disk, the
    pause alone is tested: `tests/service/running/test_driver.py`.
    """
    apart = ["unshare", "--map-root-user", "--mount"]
    if subprocess.run([*apart, "true"], capture_output=True).returncode != 0:
        figures.add("R12", "sqlite", "no mount namespace here, hence no run on a full disk")
        return
    done = subprocess.run(
        [
            *apart,
            "sh",
            "-c",
            ON_A_DISK,
            str(tmp_path),
            sys.executable,
            "-m",
            "tests.chaos.full_disk",
            str(tmp_path),
        ],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    refused = json.loads(done.stdout.splitlines()[-1])["refused"]
    assert refused >= 7
    text = f"a tmpfs of {MIB} MiB filled twice, {refused} writes found no space, nothing lost"
    figures.add("R12", "sqlite", text)
