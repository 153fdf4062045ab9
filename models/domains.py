"""What a decision may take: domains of scalars, which sample, change and encode them.

A literal of a request is a domain of one option. Nothing here knows torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random
from typing import Any

Scalar = bool | int | float | str


@dataclass(frozen=True, slots=True)
class Choice:
    """A finite set of options in the order that the request gave them.

    `1` and `1.0` are one option, `1` and `True` are two.
    """

    options: tuple[Scalar, ...]

    def __post_init__(self) -> None:
        if not self.options:
            raise ValueError("a choice needs at least one option")
        if not all(isinstance(option, str) or _is_finite(option) for option in self.options):
            raise ValueError(f"options must be finite, got {list(self.options)}")
        if len({_identity(option) for option in self.options}) < len(self.options):
            raise ValueError(f"a choice lists each option once, got {list(self.options)}")

    @property
    def size(self) -> int:
        return len(self.options)

    @property
    def width(self) -> int:
        """Length of `encode`."""
        return len(self.options)

    @property
    def first(self) -> Scalar:
        return self.options[0]

    def values(self) -> tuple[Scalar, ...]:
        """Every value, in order."""
        return self.options

    def levels(self, count: int) -> tuple[Scalar, ...]:
        """Every option, however many: a choice has no order to thin it out by."""
        return self.options

    def nearest(self, value: Scalar) -> Scalar:
        """The option equal to `value` or, among numbers, the one that is least away from it; the
        middle option where neither is one.
        """
        if any(_identity(option) == _identity(value) for option in self.options):
            return self.parse(value)
        numbers = [o for o in self.options if not isinstance(o, bool | str)]
        if isinstance(value, bool | str) or len(numbers) < len(self.options):
            return self.middle
        return min(numbers, key=lambda option: abs(option - value))

    @property
    def middle(self) -> Scalar:
        """Of the options in the order of the request, the lower of two."""
        return self.options[(len(self.options) - 1) // 2]

    def parse(self, value: Scalar) -> Scalar:
        """The space's own option object equal to `value`: a client's `1` is the option `1.0`.

        Raises:
            ValueError: no such option.
        """
        return self.options[self._index(value)]

    def sample(self, rng: Random) -> Scalar:
        """Uniform."""
        return rng.choice(self.options)

    def mutate(self, value: Scalar, rng: Random) -> Scalar:
        """Another option, uniformly; the same where there is no other."""
        others = self.neighbours(value)
        return rng.choice(others) if others else value

    def neighbours(self, value: Scalar) -> tuple[Scalar, ...]:
        """Every other option."""
        index = self._index(value)
        return self.options[:index] + self.options[index + 1 :]

    def encode(self, value: Scalar) -> tuple[float, ...]:
        """One-hot, one number an option."""
        index = self._index(value)
        return tuple(float(position == index) for position in range(len(self.options)))

    def to_json(self) -> dict[str, Any]:
        return {"choice": list(self.options)}

    def _index(self, value: Scalar) -> int:
        for index, option in enumerate(self.options):
            if option == value and isinstance(option, bool) == isinstance(value, bool):
                return index
        raise ValueError(f"got {value!r}, allowed are {list(self.options)}")


@dataclass(frozen=True, slots=True)
class Range:
    """An inclusive range; of integers where `low` and `high` are integers.

    With `step`, the values are `low, low + step, ...` up to `high`. With `log`, sampling is
    uniform in the logarithm.
    """

    low: int | float
    high: int | float
    log: bool = False
    step: int | float | None = None

    def __post_init__(self) -> None:
        if not all(_is_finite(bound) for bound in (self.low, self.high)):
            raise ValueError(f"low and high must be finite, got {self.low} and {self.high}")
        if self.low > self.high:
            raise ValueError(f"low must not exceed high, got low {self.low} and high {self.high}")
        if not _is_finite(self.high - self.low):
            raise ValueError(f"the range {self.low}..{self.high} is too wide")
        if self.log and self.low <= 0:
            raise ValueError(f"a log range needs low > 0, got {self.low}")
        if self.step is not None:
            if not (_is_finite(self.step) and self.step > 0):
                raise ValueError(f"step must be positive, got {self.step}")
            if self.log:
                raise ValueError("a range has either log or step, not both")
            if self.is_integer and not isinstance(self.step, int):
                raise ValueError(f"a range of integers needs an integer step, got {self.step}")
            if not _is_finite((self.high - self.low) / self.step):
                raise ValueError(f"step {self.step} is too small for {self.low}..{self.high}")

    @property
    def is_integer(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def size(self) -> int | float:
        """Number of values; infinite for a continuous range."""
        if self.low == self.high:
            return 1
        if self.is_integer:
            return int(self.high - self.low) // int(self.step or 1) + 1
        if self.step is None:
            return math.inf
        return math.floor((self.high - self.low) / self.step + 1e-9) + 1

    @property
    def width(self) -> int:
        """Length of `encode`."""
        return 1

    @property
    def first(self) -> Scalar:
        return self.low

    def values(self) -> tuple[Scalar, ...]:
        """Every value, in order.

        Raises:
            ValueError: the range is continuous.
        """
        if math.isinf(self.size):
            raise ValueError(f"the range {self} is continuous")
        return tuple(self._at_index(index) for index in range(int(self.size)))

    def levels(self, count: int) -> tuple[Scalar, ...]:
        """At most `count` values, at least one, from the lowest to the highest and evenly spaced,
        in the logarithm with `log`.
        """
        if self.size <= count:
            return self.values()
        if count == 1:
            return (self._between(0.5),)
        units = (index / (count - 1) for index in range(count))
        return tuple(dict.fromkeys(map(self._between, units)))

    def nearest(self, value: Scalar) -> Scalar:
        """The value least away from `value`; the middle one where that is no number."""
        if isinstance(value, bool | str):
            return self.middle
        number = min(max(value, self.low), self.high)
        return float(number) if math.isinf(self.size) else self._at_index(self._index(number))

    @property
    def middle(self) -> Scalar:
        """In the logarithm with `log`."""
        return self.levels(1)[0]

    def parse(self, value: Scalar) -> Scalar:
        """`value` as a number of this range, integer or float as the range is.

        Raises:
            ValueError: not a number, outside the range or off the steps.
        """
        if isinstance(value, bool | str) or not _is_finite(value):
            raise self._refusal(value)
        number = int(value) if self.is_integer else float(value)
        if number != value or not self._holds(number):
            raise self._refusal(value)
        return number if math.isinf(self.size) else self._at_index(self._index(number))

    def sample(self, rng: Random) -> Scalar:
        """Uniform, in the logarithm with `log`."""
        return self._at(rng.random())

    def mutate(self, value: Scalar, rng: Random) -> Scalar:
        """A fresh sample other than `value`; the same where the range has one value."""
        if self.size == 1:
            return value
        if self.log or math.isinf(self.size):
            for _ in range(64):
                sampled = self.sample(rng)
                if sampled != value:
                    return sampled
            return self.low if value != self.low else self.high
        index = rng.randrange(int(self.size) - 1)
        return self._at_index(index + (index >= self._index(self._number(value))))

    def neighbours(self, value: Scalar) -> tuple[Scalar, ...]:
        """The values next to `value`: one integer or step away, else a tenth of the range."""
        number = self._number(value)
        if self.size == 1:
            return ()
        if math.isinf(self.size):
            unit = self._unit(number)
            around = (self._at(unit - 0.1), self._at(unit + 0.1))
            apart = tuple(neighbour for neighbour in around if neighbour != number)
            return apart or tuple(end for end in (self.low, self.high) if end != number)
        index = self._index(number)
        below, above = index - 1, index + 1
        if self.log:
            unit = self._unit(number)
            below = min(below, self._index(self._at(unit - 0.1)))
            above = max(above, self._index(self._at(unit + 0.1)))
        last = int(self.size) - 1
        indices = sorted({max(below, 0), min(above, last)} - {index})
        return tuple(self._at_index(index) for index in indices)

    def encode(self, value: Scalar) -> tuple[float, ...]:
        """One number in 0..1."""
        return (self._unit(self._number(value)),)

    def to_json(self) -> dict[str, Any]:
        return {"low": self.low, "high": self.high, "log": self.log, "step": self.step}

    def __str__(self) -> str:
        return f"{self.low}..{self.high}" + (f" step {self.step}" if self.step is not None else "")

    def _refusal(self, value: Scalar) -> ValueError:
        kind = "an integer" if self.is_integer else "a number"
        return ValueError(f"got {value!r}, allowed is {kind} in {self}")

    def _holds(self, number: int | float) -> bool:
        if self.step is not None:
            return abs(number - self._at_index(self._index(number))) <= 1e-9 * self.step
        return self.low <= number <= self.high

    def _number(self, value: Scalar) -> int | float:
        number = self.parse(value)
        assert not isinstance(number, str)  # noqa: S101 - for the type checker
        return number

    def _unit(self, number: int | float) -> float:
        """Where in 0..1 of the range `number` lies."""
        if self.low == self.high:
            return 0.0
        if self.log:
            unit = math.log(number / self.low) / math.log(self.high / self.low)
        else:
            unit = (number - self.low) / (self.high - self.low)
        return min(max(unit, 0.0), 1.0)

    def _at(self, unit: float) -> int | float:
        """The value at `unit` in 0..1 of the range, each integer or step equally wide."""
        unit = min(max(unit, 0.0), 1.0)
        if self.log:
            margin = 0.5 if self.is_integer else 0.0
            low, high = math.log(self.low - margin), math.log(self.high + margin)
            value = min(max(math.exp(low + unit * (high - low)), self.low), self.high)
            return round(value) if self.is_integer else value
        if math.isinf(self.size):
            return min(max(self.low + unit * (self.high - self.low), self.low), self.high)
        count = int(self.size)
        return self._at_index(min(int(unit * count), count - 1))

    def _between(self, unit: float) -> int | float:
        """The value nearest to `unit` of the way from low to high, in the logarithm with `log`."""
        if self.log:
            number = self.low * (self.high / self.low) ** unit
        else:
            number = self.low + unit * (self.high - self.low)
        if math.isinf(self.size):
            return min(max(float(number), self.low), self.high)
        return self._at_index(self._index(number))

    def _index(self, number: int | float) -> int:
        """The place of the nearest value among all of a range that is not continuous."""
        step = 1 if self.step is None else self.step
        index = round((number - self.low) / step) if self.low < self.high else 0
        return min(max(index, 0), int(self.size) - 1)

    def _at_index(self, index: int) -> int | float:
        step = 1 if self.step is None else self.step
        return min(self.low + index * step, self.high)


def _is_finite(number: int | float) -> bool:
    """Whether a float can hold it: JSON's integers have no end."""
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


def _identity(value: Scalar) -> tuple[bool, Scalar]:
    return isinstance(value, bool), value


Domain = Choice | Range


def as_domain(value: Scalar | Domain) -> Domain:
    """A literal of a request is a domain of one option."""
    return value if isinstance(value, Choice | Range) else Choice((value,))
