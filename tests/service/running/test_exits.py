import signal

from service.running.exits import Exit, cause_of, is_blamed


def test_an_end_is_told_in_words() -> None:
    assert cause_of(-signal.SIGSEGV) == "its driver was ended by SIGSEGV"
    assert cause_of(Exit.NO_RAY) == "the Ray runtime was lost"
    assert cause_of(77) == "its driver ended with code 77"


def test_a_search_is_blamed_for_what_it_may_have_done() -> None:
    assert is_blamed(1)
    assert is_blamed(-signal.SIGSEGV)
    assert is_blamed(-signal.SIGABRT)
    assert is_blamed(Exit.STALLED)
    assert is_blamed(Exit.NO_MEMORY)


def test_a_search_is_not_blamed_for_what_others_did() -> None:
    for sent in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        assert not is_blamed(-sent)
    for code in (Exit.NO_RAY, Exit.OUTAGE, Exit.LOST, Exit.FROZEN):
        assert not is_blamed(code)
