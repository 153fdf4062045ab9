import json
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from ray import cloudpickle

from models.domains import Choice, Range
from models.family import families
from models.recipe import TrainingSettings
from models.remarks import Remark
from models.task import MULTILABEL, TASK_NAMES, GraphSize, Task
from models.training.defaults import default_recipe, learning_rates, with_task_defaults
from search.objectives import Objective
from search.problems import SpecError
from search.request.dataset_facts import DatasetFacts, named_facts
from search.request.dry_run import estimate
from search.request.read import stored_spec
from search.request.resolve import resolve
from search.request.space_request import resolve_space
from search.trial import Candidate
from tests.search.support.bodies import FULL, MINIMAL, problems


def test_three_fields_are_a_complete_request() -> None:
    spec = resolve(MINIMAL).spec
    assert spec.name == "digits-cnn_cell-regularized_evolution"
    assert spec.objectives == (Objective(metric="val_accuracy", goal="maximize"),)
    assert spec.training.epochs == 16 and spec.final.epochs == 3 * 16
    assert spec.budget.trials == 50 and spec.seed == 0


def test_a_dataset_alone_is_a_complete_request() -> None:
    resolved = resolve({"dataset": "digits"})
    spec = resolved.spec
    assert spec.families == ("cnn_cell", "cnn_stages", "transformer") and spec.name == (
        "digits-bananas"
    )
    assert resolve(spec.to_json()).spec == spec == stored_spec(spec.to_json())
    assert cloudpickle.loads(cloudpickle.dumps(spec)) == spec
    sizes = [
        resolve({"dataset": "digits", "space": {"family": f}}).space.size for f in spec.families
    ]
    assert resolved.space.size == 3 * sum(sizes), "of each network by three learning rates"
    told = estimate(resolved)
    assert {e["architecture"]["family"] for e in told["examples"]} <= set(spec.families)
    assert isinstance(resolved.strategy().ask(0, ()), Candidate)


def test_families_that_are_searched_together_are_trained_by_the_rates_that_each_wants() -> None:
    """Around the usual ones: of pictures 0.05 by momentum, 0.003 by adam."""

    def rates(**fields: Any) -> object:
        return resolve({"dataset": "digits", **fields}).spec.training.learning_rate

    assert rates() == Choice((0.01, 0.05, 0.15))
    assert rates(training={"optimizer": "adam"}) == Choice((0.001, 0.003, 0.009, 0.03))
    both = rates(training={"optimizer": {"choice": ["momentum", "adam"]}})
    assert both == Choice((0.001, 0.003, 0.009, 0.01, 0.03, 0.05, 0.15))
    assert rates(training={"learning_rate": 0.02}) == 0.02
    assert rates(space={"family": "cnn_cell"}) == 0.05
    shared = {"space": [{"family": "cnn_cell"}, {"family": "cnn_stages"}]}
    assert rates(**shared) == Choice((0.01, 0.05, 0.15))


@pytest.mark.parametrize("task", TASK_NAMES)
def test_the_usual_rate_is_the_middle_one(task: str) -> None:
    """By which what a person would try first is trained."""
    own = default_recipe(task)
    rates = Choice(learning_rates(task, [own.optimizer]))
    assert rates.middle == own.learning_rate and len(rates.options) > 2


def test_a_family_that_is_alone_is_no_union() -> None:
    alone = resolve({"dataset": "wine"}).spec
    assert alone.to_json()["space"]["family"] == "mlp" and alone.name == "wine-mlp-bananas"
    assert resolve({"dataset": "wine", "space": [{"family": "mlp"}]}).spec == alone


def test_the_default_strategy_follows_objectives_and_budget() -> None:
    def strategy(**fields: Any) -> str:
        return resolve({"dataset": "wine", **fields}).spec.strategy.name

    assert strategy(budget={"trials": 2000}) == "bananas"
    assert strategy(budget={"trials": 2001}) == "regularized_evolution"
    both = [{"metric": "val_accuracy"}, {"metric": "parameters"}]
    assert strategy(objectives=both) == "nsga2"


def test_a_family_that_the_recipe_rules_out_is_left_out_and_told() -> None:
    """The bag of n-grams has no places, of which some could be hidden."""
    task = Task("text_classification", (12,), 3, vocabulary=7)
    facts = DatasetFacts(task, {"train": 100, "validation": 20, "test": 20}, "0" * 64, "texts")
    body = {"dataset": "texts", "training": {"pretraining": "masked"}}
    resolved = resolve(body, lambda name: facts)
    assert resolved.spec.families == ("transformer",)
    assert {(told.code, told.where) for told in resolved.warnings} == {
        ("family_left_out", "/space")
    }
    for told, name in zip(resolved.warnings, ("bag", "rnn", "text_cnn"), strict=True):
        assert told.message.startswith(f'{name} is not searched: "masked" is no start for {name}')
    named = {**body, "space": [{"family": "bag"}, {"family": "transformer"}]}
    with pytest.raises(SpecError, match="is no start for bag"):
        resolve(named, lambda name: facts)


def test_a_union_alone_is_described() -> None:
    space = [{"family": "cnn_cell", "nodes": 2}, {"family": "transformer", "layers": 1}]
    both = resolve_space({"dataset": "digits", "space": space}).space
    apart = [resolve_space({"dataset": "digits", "space": member}).space for member in space]
    assert both.size == sum(member.size for member in apart)
    assert problems_of_space([{"family": "cnn_cell"}, {"family": "mlp"}]) == {"/space/1/family"}


def problems_of_space(space: object) -> set[str]:
    with pytest.raises(SpecError) as raised:
        resolve_space({"dataset": "digits", "space": space})
    return {found.pointer for found in raised.value.problems}


def test_the_default_of_final_epochs_follows_the_longest_trial() -> None:
    body = {**FULL, "final": {}}
    assert resolve(body).spec.final.epochs == 24
    body["training"] = {"epochs": {"low": 1, "high": 9000}}
    assert resolve(body).spec.final.epochs == 10_000


@pytest.mark.parametrize(("trials", "top"), [(1, 1), (19, 1), (20, 2), (30, 3), (500, 3)])
def test_three_are_retrained_where_the_budget_allows(trials: int, top: int) -> None:
    body = {**FULL, "budget": {"trials": trials}, "final": {}}
    assert resolve(body).spec.final.top == top
    assert resolve(body | {"final": {"top": 1}}).spec.final.top == 1
    costs = [{"metric": "val_accuracy"}, {"metric": "parameters"}]
    several = {**body, "objectives": costs, "strategy": {"name": "nsga2"}}
    assert resolve(several).spec.final.top == 1


def test_finals_stop_early_where_the_request_leaves_it_open() -> None:
    def patience(final: dict[str, Any], **training: Any) -> int | None:
        return resolve({**FULL, "final": final, "training": training}).spec.final.patience

    assert patience({"epochs": 100}) == 25 and patience({"epochs": 101}) == 26
    assert patience({}) == 12 and patience({"epochs": 12}) == 10  # of 3 x 16, and of those said
    assert patience({"patience": 3}, early_stopping=5) == 3 and patience({"patience": 0}) == 0
    assert patience({"epochs": 100}, early_stopping=5) is None, "that of the recipe"
    assert patience({"data": "train+val"}) == 12, "of the training that finds the epochs"


def test_a_fidelity_has_defaults_and_is_refused_where_it_cannot_work() -> None:
    assert resolve(MINIMAL).spec.to_json()["fidelity"] == {"name": "none"}
    asha = resolve({**MINIMAL, "fidelity": {"name": "asha"}}).spec
    assert asha.to_json()["fidelity"]["reduction_factor"] == 3
    assert tuple(asha.fidelity_rule().rungs) == (1, 3, 9)  # below the 16 epochs of these data
    objectives = [{"metric": "val_accuracy"}, {"metric": "flops", "goal": "minimize"}]
    body = {**MINIMAL, "training": {"epochs": {"low": 2, "high": 4}}, "objectives": objectives}
    found = problems(body | {"fidelity": {"name": "median", "grace_epochs": 4}})
    assert found.pop("/objectives").startswith("regularized_evolution optimises 1 objective")
    assert found == {
        "/fidelity": "median compares trials by one objective, got 2",
        "/fidelity/grace_epochs": "median would stop no trial: the longest has 4 epochs, got 4",
    }
    assert problems({**MINIMAL, "fidelity": {"name": "ahsa"}}) == {
        "/fidelity/name": 'unknown fidelity "ahsa", known are asha, curve, hyperband, median, none'
    }
    assert problems({**MINIMAL, "fidelity": {"name": "asha", "brackets": 2}}) == {
        "/fidelity/brackets": "unknown field, known are name, reduction_factor, grace_epochs, "
        "variant"
    }


@pytest.mark.parametrize("body", [MINIMAL, FULL])
def test_resolving_what_was_resolved_changes_nothing(body: dict[str, Any]) -> None:
    spec = resolve(body).spec
    stored = json.loads(json.dumps(spec.to_json(), allow_nan=False))
    again = resolve(stored).spec
    assert again == spec and again.to_json() == stored


@pytest.mark.parametrize("family", families)
def test_the_search_of_every_family_travels_to_workers(family: str) -> None:
    known = {"mlp": "wine", "rnn": "waves", "linear": "waves", "gnn": "rings"}
    known |= {"bag": "words", "text_cnn": "words", "rocket": "strokes", "ngram": "play"}
    known |= {"tcn": "strokes", "patchtst": "waves"}
    dataset = known.get(family, "digits")
    tasks = {
        "waves": Task("forecasting", (12, 2), 4, targets=(0, 1)),
        "strokes": Task("sequence_classification", (12, 2), 3),
        "play": Task("language_modeling", (12,), 7, vocabulary=7),
        "words": Task("text_classification", (12,), 3, vocabulary=7),
        "rings": Task("node_classification", (5,), 3, graph=GraphSize(8, 20)),
    }

    def lookup(name: str) -> DatasetFacts:
        if name not in tasks:
            return named_facts(name)
        return DatasetFacts(tasks[name], {"train": 4}, "f" * 64, name)

    body = {**MINIMAL, "dataset": dataset, "space": {"family": family}}
    spec = resolve({**body, "fidelity": {"name": "asha"}}, lookup).spec
    again = cloudpickle.loads(cloudpickle.dumps(spec))
    assert again == spec and again.to_json() == spec.to_json()


def test_the_parts_fit_together() -> None:
    resolved = resolve(FULL)
    candidate = resolved.strategy().ask(0, ())
    assert resolved.dataset.task == Task("image_classification", (1, 8, 8), 10)
    assert len(resolved.dataset.fingerprint) == 64
    assert resolved.dataset.sizes["train"] > resolved.dataset.sizes["validation"] > 0
    assert resolved.cost(candidate)["parameters"] > 0  # type: ignore[arg-type]  # no supernet


def test_the_only_network_of_a_space_is_held_against_its_limits() -> None:
    fixed = {
        "family": "cnn_cell",
        "topology": "nasbench201",
        "nodes": 2,
        "operations": ["nor_conv_3x3"],
        "head_pool": 1,
    }
    body = {**MINIMAL, "space": fixed, "constraints": [{"metric": "parameters", "max": 10}]}
    found = problems(body)
    assert "the only network of the space has parameters" in found["/constraints/0"]
    assert resolve({**MINIMAL, "space": fixed}).space.size == 1


@pytest.mark.parametrize("limit", [{"max": 40}, {"min": 1e9}])
def test_a_limit_that_no_network_meets_is_refused_unless_it_is_meant(
    limit: dict[str, float],
) -> None:
    """Of wine, 13 numbers and 3 classes, a linear map has 42 parameters."""
    body = {**BASE, "constraints": [{"metric": "parameters", **limit}]}
    message = refusals(body)["/constraints/0"]
    assert "networks tried no one meets it" in message and '"force": true' in message
    assert refusals({**body, "force": True}) == {}
    able = {"max": 200} if "max" in limit else {"min": 10_000}
    assert refusals({**BASE, "constraints": [{"metric": "parameters", **able}]}) == {}


@pytest.mark.parametrize(
    ("samples", "batch_size"), [(10, 8), (128, 8), (255, 8), (256, 16), (1023, 32), (1024, 64)]
)
def test_few_samples_make_small_batches(samples: int, batch_size: int) -> None:
    """16 steps an epoch, where a batch of 8 gives as many."""
    for name in ("image_classification", "forecasting", "graph_classification"):
        assert default_recipe(name, samples).batch_size == batch_size
        assert default_recipe(name).batch_size == 64
        asked = TrainingSettings(batch_size=50)
        assert with_task_defaults(asked, name, samples).batch_size == 50
    assert default_recipe("tabular_regression", samples).batch_size == 32


@pytest.mark.parametrize(("samples", "rate"), [(36, 0.003), (1023, 0.003), (1024, 0.001)])
def test_few_texts_are_learned_faster(samples: int, rate: float) -> None:
    found = with_task_defaults(TrainingSettings(), "text_classification", samples)
    assert found.learning_rate == rate
    asked = TrainingSettings(learning_rate=0.01)
    assert with_task_defaults(asked, "text_classification", samples).learning_rate == 0.01
    assert default_recipe("text_classification").learning_rate == 0.001


@pytest.mark.parametrize(
    ("name", "samples", "epochs"),
    [
        ("image_classification", 5_000, 8),  # 8 x 79 steps
        ("image_classification", 3_000, 9),  # an epoch has 47, and 9 are 423
        (
            "image_classification",
            1_078,
            16,
        ),  # and 24 were enough; of pictures never more than twice
        ("text_classification", 94, 34),  # batches of 8: 12 steps an epoch
        ("text_classification", 10, 80),  # never more than ten times the usual
        ("forecasting", 94, 8),  # which would learn the train split by heart
        ("tabular_classification", 100, 40),  # these have many as it is
        ("node_classification", 140, 200),
    ],
)
def test_few_samples_make_many_epochs(name: str, samples: int, epochs: int) -> None:
    """400 steps."""
    assert default_recipe(name, samples).epochs == epochs
    assert with_task_defaults(TrainingSettings(), name, samples).epochs == epochs
    assert with_task_defaults(TrainingSettings(epochs=3), name, samples).epochs == 3


@pytest.mark.parametrize(("samples", "patience"), [(375, 3), (6400, 0)])
def test_a_short_text_is_not_learned_by_heart(samples: int, patience: int) -> None:
    """375 windows are gone through 17 times for 400 steps, and 6,400 four times, as is usual."""
    task = Task("language_modeling", (128,), 65, vocabulary=65)
    facts = DatasetFacts(task, {"train": samples, "validation": 40, "test": 40}, "0" * 64, "play")

    def stops(**training: Any) -> int:
        body = {"dataset": "play", "training": training}
        return resolve(body, lambda name: facts).spec.training.model_dump()["early_stopping"]

    assert stops() == patience
    assert stops(epochs=30) == 0
    assert stops(early_stopping=7) == 7


def test_epochs_follow_the_batches_that_a_request_says() -> None:
    large = with_task_defaults(TrainingSettings(batch_size=128), "text_classification", 1_078)
    assert large.epochs == 45  # 9 steps an epoch
    several = TrainingSettings(batch_size=Choice((32, 128)))
    assert with_task_defaults(several, "text_classification", 1_078).epochs == 45


@pytest.mark.parametrize(
    ("steps", "epochs"),
    [(500, 30), (17, 1), (Choice((17, 18, 34)), Choice((1, 2))), (Range(100, 1000), Range(6, 59))],
)
def test_steps_are_stored_as_the_epochs_that_they_are(steps: Any, epochs: Any) -> None:
    """Digits: 1,078 pictures in batches of 64 are 17 steps."""
    asked = TrainingSettings(steps=steps, batch_size=64)
    filled = with_task_defaults(asked, "image_classification", 1_078)
    assert filled.epochs == epochs and "steps" not in filled.model_fields_set


def test_a_request_may_say_steps() -> None:
    resolved = resolve({**MINIMAL, "training": {"steps": 100}})
    train, batch = resolved.dataset.sizes["train"], resolved.spec.training.batch_size
    an_epoch = -(-train // batch)
    assert resolved.spec.training.epochs == -(-100 // an_epoch)
    answer = estimate(resolved)
    assert answer["steps_per_trial"] == resolved.spec.training.epochs * an_epoch >= 100
    again = resolve(resolved.spec.to_json()).spec
    assert again == resolved.spec


@pytest.mark.parametrize(
    ("training", "pointer", "message"),
    [
        ({"steps": 10, "epochs": 2}, "/training", "epochs or steps, got both"),
        (
            {"steps": 10, "batch_size": {"choice": [8, 16]}},
            "/training",
            "counted by one batch_size",
        ),
        ({"steps": 0}, "/training/steps", "greater than or equal to 1"),
        ({"steps": 10_000_000}, "/training/steps", "epochs, allowed are 10000: an epoch has"),
    ],
)
def test_steps_that_cannot_be_counted_are_refused(
    training: dict[str, Any], pointer: str, message: str
) -> None:
    found = problems({**MINIMAL, "training": training})
    assert message in found[pointer]


def test_a_task_alone_counts_no_steps() -> None:
    task = {"name": "image_classification", "input_shape": [1, 8, 8], "outputs": 10}
    with pytest.raises(SpecError, match="counted by the dataset"):
        resolve_space({"space": MINIMAL["space"], "task": task, "training": {"steps": 9}})


def test_a_request_takes_its_batches_from_its_dataset() -> None:
    known = replace(named_facts("digits"), sizes={"train": 100, "validation": 30, "test": 30})
    assert resolve(MINIMAL, lambda name: known).spec.training.batch_size == 8
    body = {"space": MINIMAL["space"], "dataset": "digits"}
    recipe = resolve_space(body, lambda name: known).space.sample(Random(0)).recipe
    assert recipe.batch_size == 8


def test_what_a_recipe_leaves_open_is_that_of_the_task() -> None:
    asked = TrainingSettings(epochs=3, learning_rate=Range(0.1, 0.2))
    for name in ("image_classification", "tabular_regression"):
        filled = with_task_defaults(asked, name)
        assert filled.epochs == 3 and filled.learning_rate == Range(0.1, 0.2)
        assert filled.optimizer == default_recipe(name).optimizer  # type: ignore[arg-type]
        assert with_task_defaults(filled, "forecasting") == filled
        assert TrainingSettings.model_validate(filled.model_dump(mode="json")) == filled


def refusals(body: dict[str, Any], **facts: Any) -> dict[str, str]:
    """What is refused of a body on digits, or on a dataset with other facts."""
    known = replace(named_facts(body["dataset"]), **facts)
    try:
        resolve(body, lambda name: known)
    except SpecError as error:
        return {found.pointer: found.message for found in error.problems}
    return {}


BASE = {"dataset": "wine", "space": {"family": "mlp"}, "strategy": {"name": "random"}}


def test_an_objective_against_its_own_sense_is_refused_unless_it_is_meant() -> None:
    body = {**BASE, "objectives": [{"metric": "val_loss", "goal": "maximize"}]}
    assert "better where it is smaller" in refusals(body)["/objectives/0/goal"]
    assert refusals({**body, "force": True}) == {}
    left_open = [{"metric": "val_loss"}, {"metric": "flops"}, {"metric": "val_accuracy"}]
    found = resolve({**BASE, "objectives": left_open}).spec.objectives
    assert [objective.goal for objective in found] == ["minimize", "minimize", "maximize"]
    costs = [{"metric": "parameters", "goal": "maximize"}]
    assert refusals({**BASE, "objectives": costs}) == {}


def test_a_metric_that_the_data_cannot_give_is_refused() -> None:
    body = {**BASE, "objectives": [{"metric": "val_auc", "goal": "maximize"}]}
    assert refusals(body) == {}
    one_class = {"val_accuracy": 1.0, "val_loss": 0.1, "val_f1": 1.0}
    assert "of one class" in refusals(body, baseline=one_class)["/objectives/0/metric"]
    assert refusals(body, baseline=None) == {}, "older datasets do not say it"
    limited = {**BASE, "constraints": [{"metric": "val_auc", "min": 0.6}]}
    assert "of one class" in refusals(limited, baseline=one_class)["/constraints/0/metric"]
    assert refusals(limited) == {}


def test_pictures_alone_are_augmented() -> None:
    body = {**BASE, "training": {"augmentation": {"choice": ["none", "shift"]}}}
    assert refusals(body) == {
        "/training/augmentation": '"shift" is for pictures, and this is tabular_classification; '
        "allowed is none"
    }


def test_what_a_loss_of_values_has_no_use_for_is_refused() -> None:
    smoothed = {"training": {"label_smoothing": {"choice": [0.0, 0.1]}}}
    assert refusals({**BASE, **smoothed}) == {}
    assert refusals({**VALUES, **smoothed}) == {
        "/training/label_smoothing": "0.1 changes nothing for tabular_regression; allowed is 0.0"
    }
    assert refusals({**VALUES, "training": {"label_smoothing": 0.0}}) == {}


VALUES = {"dataset": "diabetes", "space": {"family": "mlp"}, "strategy": {"name": "random"}}


@pytest.mark.parametrize(
    ("training", "where"),
    [
        ({"loss": {"choice": ["mse", "huber"]}}, "loss"),
        ({"target_transform": "log"}, "target_transform"),
        ({"loss": "quantile", "quantile_level": {"low": 0.1, "high": 0.9}}, "quantile_level"),
    ],
)
def test_losses_and_transforms_of_values_are_for_values(
    training: dict[str, Any], where: str
) -> None:
    assert refusals({**VALUES, "training": training}) == {}
    found = refusals({**BASE, "training": training})
    assert "and this is tabular_classification; allowed is" in found[f"/training/{where}"]


def test_losses_that_differ_in_kind_are_no_objective() -> None:
    by_loss = {**VALUES, "objectives": [{"metric": "val_loss"}]}
    assert refusals(by_loss) == {}
    searched = {**by_loss, "training": {"target_transform": {"choice": ["none", "log"]}}}
    message = refusals(searched)["/objectives/0/metric"]
    assert "of training.target_transform, which is searched" in message and "val_rmse" in message
    assert refusals({**searched, "force": True}) == {}
    assert refusals({**searched, "objectives": [{"metric": "val_mae"}]}) == {}


def test_an_explained_variance_may_be_below_zero_and_never_above_one() -> None:
    def limits(**limit: float) -> dict[str, str]:
        return refusals({**VALUES, "constraints": [{"metric": "val_r2", **limit}]})

    assert limits(max=-1.0) == limits(min=0.2) == {}
    assert "at most 1" in limits(min=1.5)["/constraints/0/min"]
    one_value = {"val_mse": 1.0, "val_mae": 1.0, "val_rmse": 1.0, "val_loss": 1.0}
    body = {**VALUES, "objectives": [{"metric": "val_r2"}]}
    assert "has one value" in refusals(body, baseline=one_value)["/objectives/0/metric"]


def test_what_a_dataset_tells_is_told_of_a_search_on_it() -> None:
    remark = Remark("duplicates", "3 rows are equal to an earlier one", None, 3)
    facts = replace(named_facts("wine"), remarks=[remark])
    found = resolve(BASE, lambda name: facts)
    assert [warning.to_json() for warning in found.warnings] == [
        {"code": "duplicates", "message": remark.message, "where": "/dataset"}
    ]
    assert estimate(found)["baseline"] == named_facts("wine").baseline


def test_a_budget_that_the_opening_takes_is_told_so() -> None:
    def told(trials: int, **settings: Any) -> list[str]:
        strategy = {"name": "bananas", **settings}
        found = resolve({**MINIMAL, "strategy": strategy, "budget": {"trials": trials}}).warnings
        return [warning.message for warning in found if warning.code == "opening_only"]

    (message,) = told(15, initial_samples=20)
    assert "begins to learn after 20 trials, and the budget has 15" in message
    assert told(21, initial_samples=20) == told(15) == []


def test_doubtful_choices_are_said() -> None:
    rare = Remark("class_imbalance", "few", None, 3)
    known = replace(named_facts("digits"), remarks=(rare,))

    def warned(**body: Any) -> dict[str, str]:
        found = resolve({**MINIMAL, **body}, lambda name: known).warnings
        return {warning.where: warning.code for warning in found}

    assert warned() == {
        "/dataset": "class_imbalance", "/objectives/0/metric": "accuracy_of_imbalance"
    }  # fmt: skip
    assert warned(objectives=[{"metric": "val_f1"}]) == {"/dataset": "class_imbalance"}
    at_once = {"final": {"data": "train+val", "patience": 0}}
    assert warned(**at_once)["/final/data"] == "uncalibrated"
    assert "/final/data" not in warned(final={"data": "train+val"}), "a first training calibrates"
    assert resolve(MINIMAL).warnings == ()
    known = replace(known, task=Task(MULTILABEL, (1, 8, 8), 3), remarks=())
    assert warned(**at_once) == {"/final/data": "uncalibrated"}
