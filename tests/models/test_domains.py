import json
import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare, kstest

from models.architecture import canonical_json
from models.domains import Choice, Domain, Range, Scalar, as_domain

FALSE_ALARM = 1e-6  # of each statistical test below

finite = st.floats(allow_nan=False, allow_infinity=False, width=32)
scalars: st.SearchStrategy[Scalar] = st.one_of(
    st.booleans(), st.integers(-(2**60), 2**60), finite, st.text(max_size=5)
)
choices = st.lists(
    scalars, min_size=1, max_size=6, unique_by=lambda option: (isinstance(option, bool), option)
).map(lambda options: Choice(tuple(options)))


@st.composite
def integer_ranges(draw: st.DrawFn) -> Range:
    log = draw(st.booleans())
    low = draw(st.integers(1 if log else -(10**9), 10**9))
    high = low + draw(st.one_of(st.integers(0, 5), st.integers(0, 10**9)))
    step = None if log else draw(st.one_of(st.none(), st.integers(1, 10**6)))
    return Range(low, high, log, step)


@st.composite
def float_ranges(draw: st.DrawFn) -> Range:
    log = draw(st.booleans())
    low = draw(st.floats(1e-9 if log else -1e6, 1e6))
    high = draw(st.floats(low, 1e6))
    step = None if log else draw(st.one_of(st.none(), st.floats(1e-3, 1e3)))
    return Range(low, high, log, step)


domains = st.one_of(choices, integer_ranges(), float_ranges())
rngs = st.integers(0, 2**32).map(Random)


def same(first: Scalar, second: Scalar) -> bool:
    return type(first) is type(second) and first == second


@given(domains, rngs)
def test_what_a_domain_gives_is_inside_it(domain: Domain, rng: Random) -> None:
    value = domain.sample(rng)
    others = [domain.mutate(value, rng), *domain.neighbours(value)]
    assert all(same(domain.parse(v), v) for v in [domain.first, value, *others])
    assert same(others[0], value) == (domain.size == 1)
    assert not any(same(value, neighbour) for neighbour in domain.neighbours(value))
    assert bool(domain.neighbours(value)) == (domain.size > 1)


def test_a_range_of_two_floats_has_two_values() -> None:
    domain = Range(math.nextafter(1e6, 0), 1e6, log=True)
    assert domain.neighbours(domain.low) == (domain.high,)
    assert domain.mutate(domain.high, Random(0)) == domain.low


@given(domains, rngs)
def test_a_value_survives_json(domain: Domain, rng: Random) -> None:
    value = domain.sample(rng)
    assert same(domain.parse(json.loads(canonical_json(value))), value)


@given(domains, rngs)
def test_a_code_has_one_length_and_lies_in_the_unit_cube(domain: Domain, rng: Random) -> None:
    for value in (domain.first, domain.sample(rng)):
        code = domain.encode(value)
        assert len(code) == domain.width
        assert all(0 <= number <= 1 for number in code)


@given(domains.filter(lambda domain: domain.size <= 1000))
def test_values_lists_all_of_a_finite_domain(domain: Domain) -> None:
    values = domain.values()
    assert len(values) == domain.size
    assert all(same(domain.parse(value), value) for value in values)
    assert len({domain.encode(value) for value in values}) == len(values)


def test_parse_gives_the_option_of_the_space() -> None:
    assert same(Choice((1.0, 2.0)).parse(1), 1.0)
    assert same(Choice((True, 1)).parse(1), 1)
    assert same(Choice((1, True)).parse(True), True)
    assert same(Range(1.0, 8.0).parse(4), 4.0)
    assert same(Range(1, 8).parse(4.0), 4)
    assert same(Range(0.1, 0.3, step=0.1).parse(0.2 + 0.1), 0.3)
    assert Choice((1, True)).encode(True) == (0.0, 1.0)
    assert Choice((1, True)).neighbours(True) == (1,)


def test_a_step_that_floats_cannot_hold_exactly_stays_in_the_range() -> None:
    assert Range(0.1, 0.3, step=0.1).values() == (0.1, 0.2, 0.3)
    assert Range(1, 10, step=4).values() == (1, 5, 9)
    assert Range(0.1, 0.3, step=0.1).neighbours(0.2) == (0.1, 0.3)


@pytest.mark.parametrize("value", [0, 9, 4.5, "4", True, math.nan, math.inf, 10**400])
def test_a_range_refuses(value: Scalar) -> None:
    with pytest.raises(ValueError, match=r"allowed is an integer in 1\.\.8"):
        Range(1, 8).parse(value)


def test_a_choice_refuses_and_says_what_is_allowed() -> None:
    with pytest.raises(ValueError, match=r"got 'c', allowed are \['a', 'b'\]"):
        Choice(("a", "b")).parse("c")
    with pytest.raises(ValueError, match="got True"):
        Choice((1, 2)).parse(True)


@pytest.mark.parametrize("options", [(), (1, 1.0), ("a", "a"), (math.nan,), (0.1, math.inf)])
def test_a_choice_needs_distinct_finite_options(options: tuple[Scalar, ...]) -> None:
    with pytest.raises(ValueError, match=r"at least one|each option once|finite"):
        Choice(options)


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"low": 3, "high": 1}, "low must not exceed high, got low 3 and high 1"),
        ({"low": math.nan, "high": 1.0}, "finite"),
        ({"low": 0, "high": 10**400}, "finite"),
        ({"low": -1.7e308, "high": 1.7e308}, "too wide"),
        ({"low": 0.0, "high": 1.0, "log": True}, "log range needs low > 0, got 0.0"),
        ({"low": 1.0, "high": 2.0, "log": True, "step": 0.5}, "either log or step"),
        ({"low": 1, "high": 2, "step": 0.5}, "integer step, got 0.5"),
        ({"low": 1, "high": 2, "step": 0}, "step must be positive, got 0"),
        ({"low": 0.0, "high": 1e300, "step": 1e-300}, "too small"),
    ],
)
def test_a_range_that_makes_no_sense_is_refused(bounds: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Range(**bounds)  # type: ignore[arg-type]  # log is among the numbers


def test_a_continuous_range_cannot_be_listed() -> None:
    with pytest.raises(ValueError, match=r"0\.0\.\.1\.0 is continuous"):
        Range(0.0, 1.0).values()


@pytest.mark.parametrize(
    "domain", [Choice(("a", "b", "c")), Range(3, 9), Range(0.0, 1.0, step=0.2)]
)
def test_samples_and_mutations_are_uniform(domain: Domain) -> None:
    rng = Random(0)
    values = domain.values()
    drawn = [domain.sample(rng) for _ in range(6000)]
    mutated = [domain.mutate(values[1], rng) for _ in range(6000)]
    assert chisquare([drawn.count(value) for value in values]).pvalue > FALSE_ALARM
    others = [value for value in values if value != values[1]]
    assert chisquare([mutated.count(value) for value in others]).pvalue > FALSE_ALARM


def test_samples_of_a_log_range_are_uniform_in_the_logarithm() -> None:
    rng = Random(0)
    domain = Range(1e-4, 1e-1, log=True)
    drawn = [math.log10(float(domain.sample(rng))) for _ in range(5000)]
    assert kstest(drawn, "uniform", args=(-4, 3)).pvalue > FALSE_ALARM


def test_integers_of_a_log_range_are_as_likely_as_their_share_of_the_logarithm() -> None:
    rng = Random(0)
    drawn = [Range(1, 8, log=True).sample(rng) for _ in range(8000)]
    shares = [math.log((n + 0.5) / (n - 0.5)) / math.log(8.5 / 0.5) for n in range(1, 9)]
    expected = [8000 * share for share in shares]
    assert chisquare([drawn.count(n) for n in range(1, 9)], expected).pvalue > FALSE_ALARM


def test_a_literal_is_a_domain_of_one() -> None:
    assert as_domain("a") == Choice(("a",))
    assert as_domain(Range(1, 2)) == Range(1, 2)
