"""What duplicates are answered from: the result of every distinct candidate, in little memory."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Mapping

from search.trial import Candidate, Failure, Trial


class Archive:
    """Identity -> first trial of it -> result: about 0.4 KB a trial, so that a million fit."""

    def __init__(self) -> None:
        self._first: dict[bytes, int] = {}
        self._results: dict[int, tuple[tuple[str, ...], array[float], Failure | None]] = {}
        self._names: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._inherited: set[int] = set()  # began with the weights of a supernet

    def __len__(self) -> int:
        """Distinct pairs of architecture and recipe."""
        return len(self._first)

    def first(self, architecture_key: str, recipe_key: str) -> int | None:
        """The number of the trial that was the first of its kind, ended or not."""
        return self._first.get(identity(architecture_key, recipe_key))

    def first_from_scratch(self, architecture_key: str, recipe_key: str) -> int | None:
        """The same of one that has ended; None where it has failed, or its training did not begin
        from scratch.
        """
        number = self.first(architecture_key, recipe_key)
        if number is None or number in self._inherited:
            return None
        _, failure = self.result(number)
        return None if failure is not None else number

    def open(self, trial: Trial) -> None:
        """`trial` is the first of its kind."""
        self._first[identity(trial.architecture_key, trial.recipe_key)] = trial.number
        if isinstance(trial.proposal, Candidate) and trial.proposal.weights_from is not None:
            self._inherited.add(trial.number)

    def close(self, trial: Trial) -> None:
        """`trial`, opened before, has ended."""
        names = tuple(trial.metrics)
        names = self._names.setdefault(names, names)
        self._results[trial.number] = (names, array("d", trial.metrics.values()), trial.failure)

    def result(self, number: int) -> tuple[Mapping[str, float], Failure | None]:
        """Metrics and failure of an ended trial."""
        names, values, failure = self._results[number]
        return dict(zip(names, values, strict=True)), failure


def identity(architecture_key: str, recipe_key: str) -> bytes:
    """Half of each SHA-256: still no collision in 2^60 trials."""
    return bytes.fromhex(architecture_key[:32] + recipe_key[:32])


class Tally:
    """Counts reasons; those that differ in numbers alone count as one."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, str] = {}

    def add(self, reason: str) -> None:
        pattern = re.sub(r"\d[\d.]*", "#", reason)
        self._counts[pattern] += 1
        self._examples.setdefault(pattern, reason)

    def __str__(self) -> str:
        """The most frequent reason with its share."""
        if not self._counts:
            return "0 of 0: nothing has ended"
        pattern, count = self._counts.most_common(1)[0]
        return f"{count} of {self._counts.total()}: {self._examples[pattern]}"
