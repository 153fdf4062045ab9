from __future__ import annotations

from search.engine.patience import Patience


def test_a_trial_is_given_ten_of_its_slowest_epochs_and_two_minutes() -> None:
    patience = Patience(None)
    patience.took(3, 1.0)
    assert patience.limit(3) == 120.0
    patience.took(3, 30.0)
    patience.took(3, 20.0)
    assert patience.limit(3) == 300.0


def test_before_its_first_epoch_a_trial_is_given_what_others_took_and_ten_minutes() -> None:
    patience = Patience(None)
    assert patience.limit(0) == 3600.0
    patience.took(0, 1.0)
    assert patience.limit(1) == 600.0
    patience.took(0, 90.0)
    patience.forget(0)
    assert patience.limit(1) == patience.limit(0) == 900.0


def test_what_the_request_says_holds_from_the_first_epoch_on() -> None:
    patience = Patience(30.0)
    assert patience.limit(0) == 30.0
    patience.took(0, 90.0)
    assert patience.limit(0) == 30.0
