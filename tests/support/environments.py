"""Virtual environments that see what is installed here, or a part of it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
NOT_CODE = shutil.ignore_patterns("__pycache__", "*.egg-info", "build", "dist", ".*")
FILES = {
    "nasmith": ["nasmith"],
    "nasmith-server": [
        *("pyproject.toml", "README.md", "LICENSE"),
        *("models", "search", "service", "migrations"),
    ],
}


def build_wheel(name: str, folder: Path) -> Path:
    """The wheel of client or server, from a copy of their files in the checkout."""
    for part in FILES[name]:
        source, copy = ROOT / part, folder / name / part
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, ignore=NOT_CODE)
        else:
            shutil.copy(source, copy)
    project = folder / name / ("nasmith" if name == "nasmith" else "")
    command = ["-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([sys.executable, *command, "-w", folder / "wheels", project], check=True)
    (wheel,) = (folder / "wheels").glob(f"{name.replace('-', '_')}-*.whl")
    return wheel


def new_environment(folder: Path, *wheels: Path) -> Path:
    """The interpreter of a new virtual environment with nothing but these wheels in it."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    command = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps"]
    subprocess.run([*command, "--no-index", "--ignore-installed", *wheels], check=True)
    return python


def see_all_installed(environment: Path) -> None:
    """Let the environment find, after its own, whatever this one has in site-packages."""
    folders = [path for path in sys.path if Path(path).name == "site-packages"]
    (site_packages(environment) / "below.pth").write_text("\n".join(folders))


def see_requirements(environment: Path, name: str) -> list[Distribution]:
    """Let the environment find what a distribution needs, and no more; returns that."""
    needed: dict[str, Distribution] = {}
    waiting = [name]
    while waiting:
        for text in distribution(waiting.pop()).requires or ():
            requirement = Requirement(text)
            key = re.sub(r"[-_.]+", "-", requirement.name).lower()
            if key not in needed and (not requirement.marker or requirement.marker.evaluate()):
                needed[key] = distribution(key)
                waiting.append(key)
    for found in needed.values():
        for top in {path.parts[0] for path in found.files or ()} - {"..", "__pycache__"}:
            link = site_packages(environment) / top
            if not link.exists():
                link.symlink_to(str(found.locate_file(top)))
    return list(needed.values())


def site_packages(environment: Path) -> Path:
    (found,) = environment.glob("lib/python*/site-packages")
    return found
