"""What the kernel holds a process to that works on what comes from strangers."""

from __future__ import annotations

import signal
import subprocess
import sys


def ended(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", f"import resource\nfrom models.processes.cage import *\n{code}"],
        capture_output=True,
        text=True,
    )


def test_each_answer_has_its_own_time_of_a_processor() -> None:
    done = ended(
        "restrict(2**30, None, 2**20)\n"
        "for seconds in (3, 70, 3):\n"
        "    allow(seconds)\n"
        "    print(resource.getrlimit(resource.RLIMIT_CPU)[0] - seconds)"
    )
    assert done.stdout == "1\n1\n1\n", "a process that has just begun has used less than a second"


def test_a_process_that_takes_too_much_time_ends_with_what_says_so() -> None:
    assert ended("restrict(2**30, 0, 2**20)\nwhile True: pass").returncode == -signal.SIGXCPU
