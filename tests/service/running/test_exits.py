import signal

from service.running.exits import Exit, cause_of, is_blamed


def test_an_end_is_told_in_words() -> None:
    assert cause_of(-signal.SIGSEGV) == "its driver was ended by SIGSEGV"
    assert cause_of(Exit.NO_RAY) == "the Ray runtime was lost"
    assert cause_of(77) == "its driver ended with code 77"


def test_a_search_is_blamed_for_what_it_may_have_done() -> None:
    assert is_blamed(-signal.SIGKILL)
    assert is_blamed(1)
    assert is_blamed(Exit.STALLED)
    assert not is_blamed(Exit.NO_RAY)
    assert not is_blamed(Exit.OUTAGE)
    assert not is_blamed(Exit.LOST)
