"""Words of a request that have another name now: taken for one release more, with a warning, and
for ever in what was stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from search.problems import SpecWarning, pointer, shown


@dataclass(frozen=True, slots=True)
class OldWord:
    """`path`: of the value in a body; `*` stands for every item of an array."""

    path: tuple[str, ...]
    old: str
    new: str


OLD_WORDS = (OldWord(("proxies", "*", "use"), "warm_start", "first"),)


def modernised(body: dict[str, Any]) -> tuple[dict[str, Any], tuple[SpecWarning, ...]]:
    """The body in the words of today, and a warning for each that was not; `body` stays as it is.
    What does not look like a request is left for the rules to refuse.
    """
    warnings: list[SpecWarning] = []
    for word in OLD_WORDS:
        body = _replaced(body, word, word.path, (), warnings)
    return body, tuple(warnings)


def _replaced(
    value: Any,
    word: OldWord,
    path: Sequence[str],
    place: tuple[str | int, ...],
    warnings: list[SpecWarning],
) -> Any:
    if not path:
        if value != word.old:
            return value
        message = f"{shown(word.old)} is called {shown(word.new)} now; the next release refuses it"
        warnings.append(SpecWarning("deprecated_word", message, pointer(*place)))
        return word.new
    step, *rest = path
    if step == "*":
        if not isinstance(value, list | tuple):
            return value
        return [_replaced(v, word, rest, (*place, i), warnings) for i, v in enumerate(value)]
    if not isinstance(value, dict) or step not in value:
        return value
    return {**value, step: _replaced(value[step], word, rest, (*place, step), warnings)}
