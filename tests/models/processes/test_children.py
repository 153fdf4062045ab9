"""A child ends when its parent does, however the parent ends and whatever the child does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from models.processes import bootstrap
from models.processes.children import child_command

PARENT = """
import os, signal, subprocess, sys, time
from models.processes.children import child_command
command = child_command(sys.argv[1], *sys.argv[3:], at_end=signal.Signals[sys.argv[2]])
subprocess.Popen(command, start_new_session=True)
time.sleep(600)
"""
ELSEWHERE = """
import runpy, sys
sys.platform = "darwin"
sys.argv[0] = {bootstrap!r}
runpy.run_path({bootstrap!r}, run_name="__main__")
"""
BUSY = "import os, time\nprint(os.getpid(), flush=True)\nwhile True: time.sleep(60)\n"
CLEANING = """
import os, signal, sys, time
from pathlib import Path
def clean(*_):
    Path(sys.argv[1]).touch()
    sys.exit()
signal.signal(signal.SIGTERM, clean)
print(os.getpid(), flush=True)
while True: time.sleep(60)
"""


def script(tmp_path: Path, text: str) -> str:
    path = tmp_path / "script.py"
    path.write_text(text)
    return str(path)


def orphaned(target: str, at_end: str, *arguments: str, is_frozen: bool = False) -> bool:
    """Kill a parent with `kill -9`; whether its child then ends."""
    command = [sys.executable, "-c", PARENT, target, at_end, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        if is_frozen:
            child.suspend()
        parent.kill()
    _, alive = psutil.wait_procs([child], 30)
    for left in alive:
        left.kill()
    return not alive


def test_a_child_ends_with_its_parent(tmp_path: Path) -> None:
    assert orphaned(script(tmp_path, BUSY), "SIGKILL")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux's kernel sends the signal itself")
def test_a_frozen_child_does_too(tmp_path: Path) -> None:
    assert orphaned(script(tmp_path, BUSY), "SIGKILL", is_frozen=True)


def test_a_child_with_something_to_clean_up_does_so(tmp_path: Path) -> None:
    assert orphaned(script(tmp_path, CLEANING), "SIGTERM", str(tmp_path / "cleaned"))
    assert (tmp_path / "cleaned").exists()


def test_where_the_kernel_does_not_help_a_thread_looks(tmp_path: Path) -> None:
    inner = tmp_path / "inner.py"
    inner.write_text(BUSY)
    outer = script(tmp_path, ELSEWHERE.format(bootstrap=bootstrap.__file__))
    # the bootstrap of Linux gives its own arguments on to the one that thinks it is elsewhere
    code = PARENT.replace(
        "subprocess.Popen(command",
        f"command = [sys.executable, {outer!r}, *command[-3:]]\nsubprocess.Popen(command",
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(inner), "SIGKILL"], stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    assert psutil.wait_procs([child], 30)[1] == []


def test_a_child_whose_parent_is_gone_already_ends_at_once(tmp_path: Path) -> None:
    command = child_command(script(tmp_path, BUSY))
    command[command.index(str(os.getpid()))] = str(os.getppid())
    assert subprocess.run(command, timeout=60).returncode == 1


def test_a_child_gets_its_arguments_and_imports_nothing_from_the_working_folder(
    tmp_path: Path,
) -> None:
    for name in ("models", "runpy", "module"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported')")
    target = tmp_path / "elsewhere" / "target.py"
    target.parent.mkdir()
    target.write_text("import sys, models.processes; print(sys.argv, __name__)")
    done = subprocess.run(
        child_command(str(target), "--one", "2"), cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.strip() == f"{[str(target), '--one', '2']} __main__", done.stderr


def test_a_child_may_be_a_module() -> None:
    done = subprocess.run(child_command("this"), capture_output=True, text=True)
    assert "Although that way may not be obvious" in done.stdout


def test_an_isolated_child_does_not_see_the_environment(tmp_path: Path) -> None:
    code = script(tmp_path, "import sys; print(sys.flags.isolated, 'models' in sys.modules)")
    command = child_command(code, is_isolated=True)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "False"]
