import json
import math
from typing import Annotated, Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import Field, ValidationError

from models.domains import Choice, Range
from models.recipe import Recipe, TrainingSettings
from models.settings import Items, Searchable, Settings


class Layer(Settings):
    width: Searchable[Annotated[int, Field(ge=1, le=64)]] = 8
    rate: Searchable[float] = 0.1
    kind: Searchable[str] = "relu"
    names: Items[str] = ()


def errors(model: type[Settings], body: dict[str, Any]) -> list[tuple[tuple[str | int, ...], str]]:
    with pytest.raises(ValidationError) as raised:
        model.model_validate(body)
    return [(error["loc"], error["type"]) for error in raised.value.errors()]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"width": 16}, 16),
        ({"width": {"choice": [8, 16]}}, Choice((8, 16))),
        ({"width": {"low": 8, "high": 64}}, Range(8, 64)),
        ({"width": {"low": 8, "high": 64, "log": True, "step": None}}, Range(8, 64, log=True)),
        ({"width": {"low": 8, "high": 64, "step": 8}}, Range(8, 64, step=8)),
        ({"width": Choice((8, 16))}, Choice((8, 16))),
    ],
)
def test_a_scalar_is_a_literal_or_a_domain(given: dict[str, Any], expected: object) -> None:
    layer = Layer.model_validate(given)
    assert layer.width == expected
    assert Layer.model_validate(json.loads(layer.model_dump_json())) == layer


def test_numbers_take_the_type_of_the_field() -> None:
    layer = Layer.model_validate({"rate": {"choice": [1, 0.5]}})
    assert layer.rate == Choice((1.0, 0.5))
    assert isinstance(layer.rate, Choice) and isinstance(layer.rate.options[0], float)
    ranged = Layer.model_validate({"rate": {"low": 0, "high": 1}}).rate
    assert isinstance(ranged, Range) and not ranged.is_integer


@pytest.mark.parametrize(
    ("width", "location"),
    [
        ("8", ("width", "literal")),
        (8.0, ("width", "literal")),
        (True, ("width", "literal")),
        (65, ("width", "literal")),
        (10**400, ("width", "literal")),
        ({"choice": ["8"]}, ("width", "choice", "choice", 0)),
        ({"choice": [8, 65]}, ("width", "choice", "choice", 1)),
        ({"choice": []}, ("width", "choice", "choice")),
        ({"choice": [8] * 2}, ("width", "choice")),
        ({"choice": list(range(1, 2000))}, ("width", "choice", "choice")),
        ({"choice": [8], "low": 1}, ("width", "choice", "low")),
        ({"low": 1}, ("width", "range", "high")),
        ({"low": "1", "high": 2}, ("width", "range", "low")),
        ({"low": 3, "high": 1}, ("width", "range")),
        ({"low": 1, "high": 9, "step": 0}, ("width", "range", "step")),
        ({"low": 1, "high": 9, "log": "yes"}, ("width", "range", "log")),
        ({}, ("width", "range", "low")),
        (None, ("width", "literal")),
        ([8], ("width", "literal")),
    ],
)
def test_options_and_bounds_are_held_to_the_rules_of_the_literal(
    width: object, location: tuple[str | int, ...]
) -> None:
    assert errors(Layer, {"width": width})[0][0] == location


@pytest.mark.parametrize("rate", [math.nan, math.inf, 10**400, "0.1"])
def test_numbers_are_finite_numbers(rate: object) -> None:
    assert errors(Layer, {"rate": rate})[0][0] == ("rate", "literal")
    assert errors(Layer, {"rate": {"choice": [rate]}})[0][0] == ("rate", "choice", "choice", 0)
    assert errors(Layer, {"rate": {"low": 0.0, "high": rate}})[0][0] == ("rate", "range", "high")


def test_a_word_has_no_range() -> None:
    assert errors(Layer, {"kind": {"low": 1, "high": 2}}) == [(("kind",), "domain")]


def test_unknown_fields_are_refused() -> None:
    assert errors(Layer, {"wdith": 8}) == [(("wdith",), "extra_forbidden")]


def test_items_come_as_an_array() -> None:
    assert Layer.model_validate({"names": ["a", "b"]}).names == ("a", "b")
    assert errors(Layer, {"names": [1]}) == [(("names", 0), "string_type")]


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Layer().width = 9


def test_the_request_form_of_the_recipe_has_its_fields_and_defaults() -> None:
    assert list(TrainingSettings.model_fields) == [*Recipe.model_fields, "steps"]
    assert TrainingSettings().model_dump(exclude={"steps"}) == Recipe().model_dump()


@pytest.mark.parametrize("model", [Layer, TrainingSettings])
def test_the_json_schema_accepts_what_is_valid(model: type[Settings]) -> None:
    schema = model.model_json_schema()
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    validator.validate(model().model_dump(mode="json"))
    name = next(iter(model.model_fields))
    validator.validate({name: {"choice": [1, 2]}})
    validator.validate({name: {"low": 1, "high": 2}})
    assert list(validator.iter_errors({"nothing": 1}))
    assert list(validator.iter_errors({name: {"choice": []}}))
