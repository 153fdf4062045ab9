"""What every family promises, whatever it builds. A new family is tested by being registered."""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Iterator
from pathlib import Path
from random import Random
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from models import checkpoint
from models.architecture import Architecture, Decision, active_values, is_met
from models.cost import cost
from models.domains import Scalar
from models.exporters.source import STANDARD_LIBRARY, source
from models.family import InfeasibleError, families
from models.graph import Features, Graph
from models.graph_samples import Graphs, Nodes
from models.recipe import Recipe
from models.task import TASK_NAMES, GraphSize, Task
from models.training.metrics import scores

EXAMPLES = {
    "tabular_classification": Task("tabular_classification", (5,), 3),
    "tabular_regression": Task("tabular_regression", (5,), 1),
    "image_classification": Task("image_classification", (2, 12, 10), 3),
    "forecasting": Task("forecasting", (12, 2), 4, targets=(0, 1)),
    "sequence_classification": Task("sequence_classification", (12, 2), 3),
    "text_classification": Task("text_classification", (12,), 3, vocabulary=7),
    "language_modeling": Task("language_modeling", (12,), 7, vocabulary=7),
    "node_classification": Task("node_classification", (5,), 3, graph=GraphSize(8, 20)),
    "graph_classification": Task("graph_classification", (5,), 3, graph=GraphSize(4, 6, 9)),
}
"""A small task of each kind; a family of another kind of task adds it here."""

GOLDEN = Path(__file__).parents[1] / "golden"
PAIRS = [(family, task) for family in families for task in sorted(families[family].tasks)]
RECIPES = [Recipe(), Recipe(batch_norm=False, dropout=0.3)]

STEPS = 200
"""Random networks of each family that train one, divided among its tasks."""


def inputs(task: Task, count: int) -> Tensor | Nodes | Graphs:
    """Random samples: token ids where there is a vocabulary, graphs where they have a size."""
    if task.graph is not None:
        zeros = task.zeros(count)
        assert isinstance(zeros, Graph)
        if zeros.picked is not None:
            zeros.x = torch.randn(task.graph.nodes, *task.input_shape)
            return Nodes(zeros, zeros.picked)
        assert isinstance(zeros.x, Features) and zeros.graph_of is not None
        x = Features(zeros.x.places, torch.randn(len(zeros.x.places)))
        return Graphs(x, zeros.links, zeros.graph_of, count)
    if task.vocabulary is not None:
        return torch.randint(task.vocabulary, (count, *task.input_shape))
    return torch.randn(count, *task.input_shape)


def output_shape(task: Task, count: int) -> tuple[int, ...]:
    if task.name == "language_modeling":
        return (count, *task.input_shape, task.outputs)
    return (count, task.outputs)


def draw(name: str, decisions: list[Decision], rng: Random) -> Architecture:
    values: dict[str, Scalar] = {}
    for decision in decisions:
        if decision.is_active(values):
            values[decision.name] = decision.domain.sample(rng)
    return Architecture(name, values)


def space(name: str, task_name: str) -> tuple[list[Decision], Task]:
    family, task = families[name], EXAMPLES[task_name]
    return list(family.decisions(family.Settings(), task)), task


def networks(
    name: str, task_name: str, number: int
) -> Iterator[tuple[Architecture, Task, Recipe, nn.Module]]:
    """Random networks of the default space, under each recipe in turn."""
    decisions, task = space(name, task_name)
    rng, built = Random(0), 0
    for attempt in range(20 * number):
        architecture, recipe = draw(name, decisions, rng), RECIPES[attempt % 2]
        try:
            network = families[name].build(architecture, task, recipe)
        except InfeasibleError:
            continue
        yield architecture, task, recipe, network
        built += 1
        if built == number:
            return
    raise AssertionError(f"of {20 * number} random {name} networks only {built} can be built")


def test_every_family_names_tasks_that_exist() -> None:
    for name, family in families.items():
        assert family.tasks, name
        assert family.tasks <= set(TASK_NAMES)
        assert family.tasks <= set(EXAMPLES), "add an example task"


@pytest.mark.parametrize("name", families)
def test_the_defaults_are_a_request_and_come_back_from_json(name: str) -> None:
    settings = families[name].Settings
    assert settings.model_validate(settings().model_dump(mode="json")) == settings()
    schema = settings.model_json_schema()
    assert all(
        "description" in schema["properties"][n] for n in schema["properties"] if n != "family"
    )


@pytest.mark.parametrize("name", families)
def test_a_task_of_another_kind_is_infeasible(name: str) -> None:
    family = families[name]
    for task_name in set(EXAMPLES) - family.tasks:
        with pytest.raises(InfeasibleError, match=task_name) as caught:
            family.decisions(family.Settings(), EXAMPLES[task_name])
        assert caught.value.field


@pytest.mark.parametrize(("name", "task_name"), PAIRS)
def test_decisions_have_one_name_each_and_come_after_those_that_they_need(
    name: str, task_name: str
) -> None:
    decisions, _ = space(name, task_name)
    seen: set[str] = set()
    for decision in decisions:
        assert decision.name not in seen
        assert {parent for parent, _ in decision.when} <= seen
        seen.add(decision.name)
    assert not any(decision.name.startswith("training.") for decision in decisions)
    architecture = draw(name, decisions, Random(0))
    assert active_values(decisions, architecture.decisions) == dict(architecture.decisions)


@pytest.mark.parametrize(("name", "task_name"), PAIRS)
def test_a_network_takes_samples_and_gives_outputs(name: str, task_name: str) -> None:
    for architecture, task, recipe, network in networks(name, task_name, 6):
        x = inputs(task, 4)
        output = network(x)
        assert output.shape == output_shape(task, 4)
        assert network.eval()(x[:1]).shape == output_shape(task, 1)
        assert network(x[:0]).shape == output_shape(task, 0)
        again = Architecture.from_json(architecture.to_json())
        shapes = [p.shape for p in families[name].build(again, task, recipe).parameters()]
        assert shapes == [p.shape for p in network.parameters()]


@pytest.mark.parametrize(("name", "task_name"), PAIRS)
def test_a_family_says_when_batch_norm_counts(name: str, task_name: str) -> None:
    """It counts where the networks with and without it differ."""
    when = families[name].recipe_when.get("batch_norm", ())
    for architecture, task, _, _ in networks(name, task_name, 10):
        counts = when is not None and is_met(when, architecture.decisions)
        on, off = (
            families[name].build(architecture, task, Recipe(batch_norm=value)).state_dict().keys()
            for value in (True, False)
        )
        assert (on != off) == counts, architecture


@pytest.mark.parametrize(("name", "task_name"), PAIRS)
def test_every_parameter_gets_a_gradient(name: str, task_name: str) -> None:
    for _, task, _, network in networks(name, task_name, 4):
        network(inputs(task, 4)).square().sum().backward()
        for parameter_name, parameter in network.named_parameters():
            assert parameter.grad is not None, parameter_name
            assert parameter.grad.isfinite().all()


@pytest.mark.parametrize(("name", "task_name"), PAIRS)
def test_random_networks_train_a_step(name: str, task_name: str) -> None:
    torch.manual_seed(0)
    number = math.ceil(STEPS / len(families[name].tasks))
    for architecture, task, _, network in networks(name, task_name, number):
        score = scores[task.name]
        x, optimizer = inputs(task, 4), torch.optim.SGD(network.parameters(), lr=1e-3)
        targets = network(x).detach().softmax(dim=-1)
        if "accuracy" in score.goals or "perplexity" in score.goals:
            targets = targets.argmax(dim=-1)
        loss = score.loss(network(x), targets)
        torch.autograd.backward(loss)
        optimizer.step()
        assert score.loss(network(x), targets).isfinite(), architecture


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(("name", "task_name"), PAIRS)
def test_the_corners_of_the_space_are_networks(name: str, task_name: str, last: bool) -> None:
    """Every number at its smallest, or its largest. Names are the first, or last, option, and are
    drawn where those make no network: a cell of operations that are all `none` is zero.
    """
    decisions, task = space(name, task_name)
    rng = Random(0)
    for attempt in range(200):
        values: dict[str, Scalar] = {}
        for decision in decisions:
            if decision.is_active(values):
                ends = decision.domain.levels(2)
                end = ends[-1 if last else 0]
                named = isinstance(end, str) and attempt > 0
                values[decision.name] = rng.choice(ends) if named else end
        try:
            network = families[name].build(Architecture(name, values), task, Recipe())
        except InfeasibleError as error:
            assert error.field and str(error)
            continue
        assert network(inputs(task, 2)).shape == output_shape(task, 2)
        return
    raise AssertionError(f"no corner of {name} is a network")


@pytest.mark.parametrize(("name", "task_name"), PAIRS)
def test_a_checkpoint_gives_equal_outputs(name: str, task_name: str, tmp_path: Path) -> None:
    path = str(tmp_path / "0.safetensors")
    for architecture, task, recipe, network in networks(name, task_name, 2):
        x = inputs(task, 3)
        network(x)  # the running statistics of batch norm are no longer those of the beginning
        checkpoint.save(path, network, architecture, task, recipe, {})
        loaded = checkpoint.load(path)
        assert (loaded.architecture, loaded.task) == (architecture, task)
        outputs: list[Tensor] = [model.eval()(x) for model in (network, loaded.network())]
        assert torch.equal(*outputs)


@pytest.mark.parametrize(("name", "task_name"), PAIRS)
def test_the_same_seed_builds_the_same_weights(name: str, task_name: str) -> None:
    architecture, task, recipe, _ = next(networks(name, task_name, 1))
    states = []
    for _ in range(2):
        torch.manual_seed(5)
        states.append(families[name].build(architecture, task, recipe).state_dict())
    for one, other in zip(states[0].items(), states[1].items(), strict=True):
        assert one[0] == other[0]
        assert torch.equal(one[1], other[1])


@pytest.mark.parametrize(("name", "task_name"), PAIRS)
def test_the_canonical_form_is_its_own_and_survives_json(name: str, task_name: str) -> None:
    decisions, _ = space(name, task_name)
    for seed in range(20):
        architecture = draw(name, decisions, Random(seed))
        once = families[name].canonical(architecture)
        assert once.family == name
        assert families[name].canonical(once) == once
        assert Architecture.from_json(once.to_json()).key == once.key


@pytest.mark.parametrize(("name", "task_name"), PAIRS)
def test_the_cost_is_known_before_training(name: str, task_name: str) -> None:
    for architecture, task, recipe, network in networks(name, task_name, 2):
        found = cost(architecture, task, recipe)
        assert found["parameters"] == sum(p.numel() for p in network.parameters())
        assert found["flops"] > 0


@pytest.mark.parametrize(("name", "task_name"), PAIRS)
def test_a_network_is_written_down_as_pytorch_that_gives_equal_outputs(
    name: str, task_name: str
) -> None:
    for architecture, task, _, network in networks(name, task_name, 4):
        text = source(network, architecture, task)
        imported = {
            alias.name if isinstance(node, ast.Import) else node.module
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        allowed = {"__future__", "torch", "torch.nn", "typing", *STANDARD_LIBRARY}
        assert imported <= allowed
        module = ModuleType("model")
        exec(compile(text, "model.py", "exec"), vars(module))  # noqa: S102 - text that we wrote
        written = module.build()
        written.load_state_dict(network.state_dict(), strict=True)
        x = inputs(task, 3)
        outputs: list[Tensor] = [model.eval()(x) for model in (network, written)]
        assert torch.equal(*outputs)


@pytest.mark.parametrize("name", families)
def test_the_build_is_the_recorded_one(name: str) -> None:
    """A changed meaning of a decision is a new decision: stored searches keep their networks."""
    records = json.loads((GOLDEN / f"{name}.json").read_text())
    assert {record["task"]["name"] for record in records} == families[name].tasks
    for record in records:
        built = families[name].build(
            Architecture.from_json(record["architecture"]),
            Task.from_json(record["task"]),
            Recipe(batch_norm=record["batch_norm"]),
        )
        state = {n: list(v.shape) for n, v in built.state_dict().items()}
        assert state == record["state_dict"], record["name"]
        parameters = sum(p.numel() for p in built.parameters())
        assert parameters == record["parameters"], record["name"]
