"""A child that answers questions: a line of JSON each, one after the other."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Protocol, Self


class EndedError(RuntimeError):
    """The child has ended instead of an answer.

    code: of its exit; is_late: because it took too long; errors: what it wrote to stderr.
    """

    def __init__(self, code: int, errors: str, *, is_late: bool) -> None:
        super().__init__(f"it ended with {code}")
        self.code, self.errors, self.is_late = code, errors, is_late

    def last_words(self, lines: int = 1) -> str:
        said = self.errors.strip().splitlines()[-lines:]
        return " | ".join(said) or str(self)


class Speaker(Protocol):
    """What a child is to who talks with it: a `subprocess.Popen`, or a fork."""

    returncode: int | Any

    @property
    def stdin(self) -> IO[str] | None: ...

    @property
    def stdout(self) -> IO[str] | None: ...

    def kill(self) -> None: ...

    def wait(self) -> int: ...

    def poll(self) -> int | None: ...


class Conversation:
    """With a child that `answering` serves. One thread at a time asks.

    errors: the file that it writes to stderr.
    """

    def __init__(self, process: Speaker, errors: Path) -> None:
        self._process, self._errors = process, errors

    @classmethod
    def begin(
        cls,
        command: Sequence[str],
        folder: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> Self:
        """With a child of its own; `folder`: for what it writes to stderr."""
        path = folder / "stderr.txt"
        with path.open("w") as errors:
            process = subprocess.Popen(  # noqa: S603 - our interpreter, our module
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=None if env is None else dict(env),
                cwd=cwd,
            )
        return cls(process, path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def ask(self, question: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """
        Raises:
            EndedError: the child has ended, or was ended since it gave no answer in that time.
        """
        process = self._process
        assert process.stdin and process.stdout  # noqa: S101 - for the type checker
        is_late = threading.Event()

        def kill() -> None:
            is_late.set()
            process.kill()

        late = threading.Timer(seconds, kill)
        late.start()
        try:
            process.stdin.write(json.dumps(question) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
            if not line:
                process.wait()
        except ConnectionError:
            line = ""
        finally:
            late.cancel()
        if not line.endswith("\n"):
            code, errors = self.end(), self._errors.read_text(errors="replace")
            raise EndedError(code, errors, is_late=is_late.is_set())
        answer: dict[str, Any] = json.loads(line)
        return answer

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def end(self) -> int:
        """Kill the child, if it has not ended; the code of its exit."""
        process = self._process
        process.kill()  # it has nothing to lose
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(ConnectionError):
                    pipe.close()
        return process.returncode


def answering(answer: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """The child's side, until its input ends. What is printed meanwhile goes with the errors."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), file=answers)
