"""`nasmith predict`: what a bundle's own `predict.py` says, in a Python that has torch."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from nasmith.commands.output import EXIT_USAGE, FailedError, UsageError

_CLOSED = 141
"""How `predict.py` ends when nobody reads its output any more."""
_ABSENT = """\
import importlib.util as found
print(*[name for name in ("torch", "safetensors") if found.find_spec(name) is None])
"""


def predict(
    bundle: Annotated[Path, typer.Argument(help="A bundle: its folder, or its zip.")],
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUT...",
            help="A CSV, a file with a text a line, pictures, or an .npz; - is standard input.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The CSV to write.  [default: stdout]")
    ] = None,
    fill: Annotated[
        bool, typer.Option("--fill", help="A column that is not given counts as missing.")
    ] = False,
    encoding: Annotated[str, typer.Option(help="Of a text.")] = "utf-8",
    python: Annotated[
        str | None,
        typer.Option(help="A Python that has torch and safetensors.  [default: this one]"),
    ] = None,
) -> None:
    """Predict with a downloaded bundle, as `python predict.py INPUT` in its folder does."""
    given = ["--missing", "fill" if fill else "error", "--encoding", encoding]
    given += [str(path if str(path) == "-" else path.absolute()) for path in inputs]
    if out is not None and (out.is_dir() or not out.absolute().parent.is_dir()):
        raise UsageError(f"--out: {out} is a folder, or in one that is not there")
    with _folder_of(bundle) as folder:
        script = folder / "predict.py"
        if not script.is_file():
            raise UsageError(
                f"{bundle} has no predict.py: it is no bundle, or one of an older server"
            )
        command = [_able(python or sys.executable), str(script.absolute()), *given]
        code = _run(command) if out is None else _run_into(out, command)
    if code in (EXIT_USAGE, _CLOSED):  # it has said why, or nobody listens
        raise typer.Exit(code)
    if code:
        raise FailedError(f"{bundle}: predict.py has ended with {code}")


@contextmanager
def _folder_of(bundle: Path) -> Iterator[Path]:
    if not bundle.is_file():
        yield bundle
        return
    from nasmith.bundle import BundleError, unpack, verify_checksums

    with tempfile.TemporaryDirectory(prefix="nasmith-") as temporary:
        folder = Path(temporary, "bundle")
        try:
            unpack(bundle, folder)
            verify_checksums(folder)
        except BundleError as error:
            raise UsageError(f"{bundle}: {error}") from None
        yield folder


def _able(python: str) -> str:
    """The path of a Python that has what a bundle needs.

    Raises:
        UsageError: there is none, or it lacks something; says what.
    """
    path = shutil.which(python)
    if path is None:
        raise UsageError(f"--python: there is no program {python!r}")
    asked = subprocess.run([path, "-c", _ABSENT], capture_output=True, text=True)  # noqa: S603
    if asked.returncode:
        raise UsageError(f"--python: {python!r} is no Python: {asked.stderr.strip()[-200:]}")
    if absent := asked.stdout.split():
        raise UsageError(
            f"a bundle needs torch and safetensors, and {path} lacks {' and '.join(absent)}\n"
            f"  Install them there: {path} -m pip install torch safetensors\n"
            "  or name a Python that has them: nasmith predict --python PYTHON ..."
        )
    return path


def _run(command: Sequence[str]) -> int:
    return subprocess.run(command).returncode  # noqa: S603 - the bundle is the person's own


def _run_into(out: Path, command: Sequence[str]) -> int:
    """The file appears when it is whole."""
    with tempfile.NamedTemporaryFile("wb", dir=out.absolute().parent, delete=False) as file:
        try:
            code = subprocess.run(command, stdout=file).returncode  # noqa: S603 - as in `_run`
            if not code:
                os.chmod(file.name, 0o644)
                os.replace(file.name, out)
        finally:
            Path(file.name).unlink(missing_ok=True)
    return code
