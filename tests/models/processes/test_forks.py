"""Children that are forks of one process: each has its own question, end and folder."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from models.processes.conversation import EndedError
from models.processes.forks import Forks

MODULE = "tests.models.processes.small_answers"
LONG = 60.0


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with Forks(MODULE, niceness=7) as found:
        yield found


def folder(tmp_path: Path, name: str) -> Path:
    made = tmp_path / name
    made.mkdir()
    return made


def test_forks_share_what_was_prepared_and_nothing_else(
    forks: Forks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NASMITH_DATABASE_URL", "a secret")
    paths = [folder(tmp_path, name) for name in "ab"]
    with forks.one(paths[0]) as first, forks.one(paths[1]) as second:
        answers = [child.ask({"say": "\u20ac"}, LONG) for child in (second, first)]
        again = first.ask({"say": 2}, LONG)
    assert [a["folders"] for a in answers] == [[str(path)] * 3 for path in reversed(paths)]
    assert answers[0]["prepared"] == answers[1]["prepared"] == [answers[0]["parent"]]
    assert answers[0]["pid"] != answers[1]["pid"] == again["pid"]
    assert (answers[0]["said"], again["said"]) == ("\u20ac", 2)
    for found in answers:
        assert found["niceness"] == psutil.Process().nice() + 7
        assert found["secret"] is None
        assert found["sockets"] == 2, "its own, for questions and for answers: no other's"
    assert not psutil.pid_exists(again["pid"])


def test_an_end_has_its_reason(forks: Forks, tmp_path: Path) -> None:
    for number, (question, code) in enumerate(
        (
            ({"signal": "SIGXCPU"}, -signal.SIGXCPU),
            ({"signal": "SIGKILL"}, -signal.SIGKILL),
            ({"code": 3}, 1),
        )
    ):
        with forks.one(folder(tmp_path, str(number))) as child:
            with pytest.raises(EndedError) as ended:
                child.ask(question, LONG)
            assert (ended.value.code, ended.value.is_late) == (code, False)
    assert "last words" in ended.value.errors
    with (
        forks.one(folder(tmp_path, "late")) as child,
        pytest.raises(EndedError) as ended,
    ):
        child.ask({"waits": True}, 0.05)
    assert ended.value.is_late


def test_who_ends_them_ends_those_that_run_and_those_to_come(tmp_path: Path) -> None:
    forks, told = Forks(MODULE), []

    def ask() -> None:
        with forks.one(folder(tmp_path, "waits")) as child:
            origin.append(child.ask({}, LONG)["parent"])
            is_asking.set()
            with pytest.raises(EndedError) as ended:
                child.ask({"waits": True}, LONG)
            told.append(ended.value.is_late)

    origin: list[int] = []
    is_asking, asking = threading.Event(), threading.Thread(target=ask)
    asking.start()
    assert is_asking.wait(LONG)
    forks.end()
    asking.join(LONG)
    assert told == [False] and forks.ended and not psutil.pid_exists(origin[0])
    with forks.one(folder(tmp_path, "late")) as child, pytest.raises(EndedError):
        child.ask({}, LONG)


def test_their_process_ends_when_nobody_asks_and_comes_again(tmp_path: Path) -> None:
    with Forks(MODULE, idle_seconds=0.0) as forks:
        origins = []
        for name in "ab":
            with forks.one(folder(tmp_path, name)) as child:
                origins.append(child.ask({}, LONG)["parent"])
            psutil.wait_procs([p for p in psutil.Process().children() if p.pid in origins], LONG)
            assert not psutil.pid_exists(origins[-1])
        assert len(set(origins)) == 2
        with forks.one(folder(tmp_path, "c")) as child:
            psutil.Process(child.ask({}, LONG)["parent"]).kill()
            with pytest.raises(EndedError):
                child.ask({"waits": True}, LONG)
        with forks.one(folder(tmp_path, "d")) as child:
            assert child.ask({"say": 1}, LONG)["said"] == 1
