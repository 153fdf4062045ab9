import json

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from models.domains import Choice, Range
from models.recipe import Recipe
from search.spec import MAX_EPOCHS, SearchSpec
from tests.search.support.bodies import FULL, MINIMAL


@pytest.mark.parametrize("body", [MINIMAL, FULL])
def test_the_stored_form_gives_an_equal_spec_back(body: dict[str, object]) -> None:
    spec = SearchSpec.model_validate(body)
    stored = json.loads(json.dumps(spec.to_json(), allow_nan=False))
    assert SearchSpec.model_validate(stored) == spec
    assert stored["space"]["family"] == "cnn_cell"
    assert stored["strategy"]["population_size"] in (10, 20)


def test_domains_are_values() -> None:
    spec = SearchSpec.model_validate(FULL)
    assert spec.space.model_dump()["channels"] == {"choice": [8, 16]}
    assert getattr(spec.space, "cells") == Range(1, 3)  # noqa: B009 - the family's own setting
    assert spec.training.optimizer == Choice(("momentum", "adam"))
    assert spec.training.learning_rate == Range(0.001, 0.1, log=True)


def test_the_contract_has_a_json_schema() -> None:
    schema = SearchSpec.model_json_schema()
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    tables = {"dataset": "known", "strategy": {"name": "random"}}
    for body in (MINIMAL, FULL, tables, {**tables, "space": {"family": "table"}}):
        validator.validate(body)
    assert list(validator.iter_errors({**tables, "space": None}))
    assert list(validator.iter_errors({**MINIMAL, "strategy": {"name": "nothing"}}))
    assert list(validator.iter_errors({**MINIMAL, "more": 1}))


def test_final_epochs_are_epochs_of_a_recipe() -> None:
    assert Recipe(epochs=MAX_EPOCHS).epochs == MAX_EPOCHS
    with pytest.raises(ValidationError):
        Recipe(epochs=MAX_EPOCHS + 1)
    with pytest.raises(ValidationError):
        SearchSpec.model_validate({**MINIMAL, "final": {"epochs": MAX_EPOCHS + 1}})
