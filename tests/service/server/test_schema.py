"""In processes of their own: they fork."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path


def ended(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", textwrap.dedent(script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_what_the_fork_could_not_do_is_told_by_the_process_itself(tmp_path: Path) -> None:
    """A database of a later version, and a block that fails: nothing is left of either."""
    done = ended(
        """
        import os, sys
        from sqlalchemy import text
        from service.server.schema import migrated_meanwhile
        from service.sql.database import connect, is_migrated, migrate

        later, broken = sys.argv[1:]
        migrate(later)
        sessions = connect(later)
        with sessions.begin() as session:
            session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        sessions.engine.dispose()
        try:
            with migrated_meanwhile(later):
                print("meanwhile")
        except Exception as error:
            print(type(error).__name__, error)
        try:
            with migrated_meanwhile(broken):
                raise KeyError("of the block")
        except KeyError as error:
            print(error)
        with migrated_meanwhile(broken):
            pass
        sessions = connect(broken)
        with sessions.connect() as connection:
            print(is_migrated(connection))
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            print("no child")
        """,
        *(f"sqlite:///{tmp_path / name}.db" for name in ("later", "broken")),
    )
    assert done.stdout.splitlines() == [
        "meanwhile",
        "CommandError Can't locate revision identified by '9999'",
        "'of the block'",
        "True",
        "no child",
    ], done.stderr
