import copy
import hashlib
import json
import math
import pickle

import pytest

from models.architecture import Architecture, Decision, active_values
from models.domains import Choice, Range, Scalar


def test_the_key_is_the_sha256_of_the_canonical_json() -> None:
    architecture = Architecture("mlp", {"width": 8, "activation": "rélu", "bias": True})
    text = '{"decisions":{"activation":"rélu","bias":true,"width":8},"family":"mlp"}'
    assert architecture.key == hashlib.sha256(text.encode()).hexdigest()
    assert list(architecture.decisions) == ["activation", "bias", "width"]


def test_equal_architectures_are_one_value() -> None:
    first = Architecture("mlp", {"a": 1, "b": 2})
    assert first == Architecture("mlp", {"b": 2, "a": 1})
    assert first != Architecture("mlp", {"a": 1.0, "b": 2})  # another JSON, another key
    assert first == Architecture.from_json(json.loads(json.dumps(first.to_json())))
    assert len({first, copy.deepcopy(first), pickle.loads(pickle.dumps(first))}) == 1  # noqa: S301
    with pytest.raises(TypeError):
        first.decisions["a"] = 2  # type: ignore[index]


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"family": "mlp"},
        {"family": "mlp", "decisions": {}, "more": 1},
        {"family": 1, "decisions": {}},
        {"family": "mlp", "decisions": [1]},
        {"family": "mlp", "decisions": {"a": None}},
        {"family": "mlp", "decisions": {"a": [1]}},
        {"family": "mlp", "decisions": {"a": math.nan}},
    ],
)
def test_other_documents_are_no_architecture(document: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"architecture|family|decision|JSON compliant"):
        Architecture.from_json(document)


CONDITIONAL = (
    Decision("cell", Choice(("lstm", "gru"))),
    Decision("forget", Choice((0, 1)), when=(("cell", ("lstm",)),)),
    Decision("bias", Range(0.0, 1.0), when=(("forget", (1,)),)),
)


def test_inactive_decisions_have_no_value() -> None:
    assert active_values(CONDITIONAL, {"cell": "gru"}) == {"cell": "gru"}
    assert active_values(CONDITIONAL, {"cell": "lstm", "forget": 0}) == {
        "cell": "lstm",
        "forget": 0,
    }
    full = active_values(CONDITIONAL, {"cell": "lstm", "forget": 1.0, "bias": 1})
    assert full == {"cell": "lstm", "forget": 1, "bias": 1}
    assert (type(full["forget"]), type(full["bias"])) == (int, float)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "'cell' has no value"),
        ({"cell": "rnn"}, r"'cell': got 'rnn', allowed are \['lstm', 'gru'\]"),
        ({"cell": "gru", "forget": 1}, r"\['forget'\] are unknown or inactive"),
        ({"cell": "gru", "width": 1}, r"\['width'\] are unknown or inactive"),
    ],
)
def test_wrong_values_are_named(values: dict[str, Scalar], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        active_values(CONDITIONAL, values)


def test_what_a_later_decision_means_where_it_is_left_out() -> None:
    later = Decision("embedding", Choice(("none", "waves")), absent="none")
    assert active_values([later], {}) == {"embedding": "none"}
    assert active_values([later], {"embedding": "waves"}) == {"embedding": "waves"}
    narrowed = Decision("embedding", Choice(("waves",)), absent="none")
    with pytest.raises(ValueError, match="got 'none', allowed are"):
        active_values([narrowed], {})
