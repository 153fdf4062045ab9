"""What holds for every family, whatever it builds."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from types import ModuleType

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


def check_tasks(name: str) -> None:
    """It names tasks that exist."""
    tasks = families[name].tasks
    assert tasks, f"{name} is for no task"
    assert tasks <= set(TASK_NAMES), f"{name} is for {sorted(tasks)}"
    assert tasks <= set(EXAMPLES), "add an example task"


def check_defaults(name: str) -> None:
    """The defaults are a request, come back from JSON, and are described."""
    settings = families[name].Settings
    assert settings.model_validate(settings().model_dump(mode="json")) == settings()
    schema = settings.model_json_schema()
    assert all(
        "description" in schema["properties"][n] for n in schema["properties"] if n != "family"
    )


def check_other_tasks(name: str) -> None:
    """A task of another kind is infeasible."""
    family = families[name]
    for task_name in set(EXAMPLES) - family.tasks:
        try:
            family.decisions(family.Settings(), EXAMPLES[task_name])
        except InfeasibleError as error:
            assert error.field and task_name in str(error), f"{name} refuses with {error}"
        else:
            raise AssertionError(f"{name} takes a task of {task_name}, which it does not name")


def check_decisions(name: str, task_name: str) -> None:
    """Decisions have one name each and come after those that they need."""
    decisions, _ = space(name, task_name)
    seen: set[str] = set()
    for decision in decisions:
        assert decision.name not in seen
        assert {parent for parent, _ in decision.when} <= seen
        seen.add(decision.name)
    assert not any(decision.name.startswith("training.") for decision in decisions)
    architecture = draw(name, decisions, Random(0))
    assert active_values(decisions, architecture.decisions) == dict(architecture.decisions)


def check_network(name: str, task_name: str) -> None:
    """A network takes samples, also one and none, and gives outputs."""
    for architecture, task, recipe, network in networks(name, task_name, 6):
        x = inputs(task, 4)
        output = network(x)
        assert output.shape == output_shape(task, 4)
        assert network.eval()(x[:1]).shape == output_shape(task, 1)
        assert network(x[:0]).shape == output_shape(task, 0)
        again = Architecture.from_json(architecture.to_json())
        shapes = [p.shape for p in families[name].build(again, task, recipe).parameters()]
        assert shapes == [p.shape for p in network.parameters()]


def check_batch_norm(name: str, task_name: str) -> None:
    """Where it does not count, networks with and without it are the same; where it does they
    differ, but for one in ten: layers of a graph network may all be skips.
    """
    when, idle = families[name].recipe_when.get("batch_norm", ()), 0
    for architecture, task, _, _ in networks(name, task_name, 10):
        counts = when is not None and is_met(when, architecture.decisions)
        on, off = (
            families[name].build(architecture, task, Recipe(batch_norm=value)).state_dict().keys()
            for value in (True, False)
        )
        assert counts or on == off, architecture
        idle += counts and on == off
    assert idle <= 1


def check_gradients(name: str, task_name: str) -> None:
    """Every parameter gets a gradient."""
    for _, task, _, network in networks(name, task_name, 4):
        network(inputs(task, 4)).square().sum().backward()
        for parameter_name, parameter in network.named_parameters():
            assert parameter.grad is not None, parameter_name
            assert parameter.grad.isfinite().all()


def check_step(name: str, task_name: str) -> None:
    """Random networks train a step."""
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


def check_corners(name: str, task_name: str, last: bool) -> None:
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


def check_checkpoint(name: str, task_name: str, folder: Path) -> None:
    """A checkpoint, written into `folder`, gives equal outputs."""
    path = str(folder / "0.safetensors")
    for architecture, task, recipe, network in networks(name, task_name, 2):
        x = inputs(task, 3)
        network(x)  # the running statistics of batch norm are no longer those of the beginning
        checkpoint.save(path, network, architecture, task, recipe, {})
        loaded = checkpoint.load(path)
        assert (loaded.architecture, loaded.task) == (architecture, task)
        outputs: list[Tensor] = [model.eval()(x) for model in (network, loaded.network())]
        assert torch.equal(*outputs)


def check_seed(name: str, task_name: str) -> None:
    """The same seed builds the same weights."""
    architecture, task, recipe, _ = next(networks(name, task_name, 1))
    states = []
    for _ in range(2):
        torch.manual_seed(5)
        states.append(families[name].build(architecture, task, recipe).state_dict())
    for one, other in zip(states[0].items(), states[1].items(), strict=True):
        assert one[0] == other[0]
        assert torch.equal(one[1], other[1])


def check_canonical(name: str, task_name: str) -> None:
    """The canonical form is its own, and survives JSON."""
    decisions, _ = space(name, task_name)
    for seed in range(20):
        architecture = draw(name, decisions, Random(seed))
        once = families[name].canonical(architecture)
        assert once.family == name
        assert families[name].canonical(once) == once
        assert Architecture.from_json(once.to_json()).key == once.key


def check_cost(name: str, task_name: str) -> None:
    """The cost is known before training."""
    for architecture, task, recipe, network in networks(name, task_name, 2):
        found = cost(architecture, task, recipe)
        assert found["parameters"] == sum(p.numel() for p in network.parameters())
        assert found["flops"] > 0


def check_source(name: str, task_name: str) -> None:
    """A network is written down as PyTorch that gives equal outputs."""
    for architecture, task, _, network in networks(name, task_name, 4):
        text = source(network, architecture, task)
        imported = {
            alias.name if isinstance(node, ast.Import) else node.module
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        allowed = {"__future__", "torch", "torch.nn", "typing", *STANDARD_LIBRARY}
        assert imported <= allowed, f"model.py imports {imported - allowed}"
        module = ModuleType("model")
        exec(compile(text, "model.py", "exec"), vars(module))  # noqa: S102 - text that we wrote
        written = module.build()
        written.load_state_dict(network.state_dict(), strict=True)
        x = inputs(task, 3)
        outputs: list[Tensor] = [model.eval()(x) for model in (network, written)]
        assert torch.equal(*outputs)


def check_family(name: str, folder: Path) -> None:
    """All of these, for each of its tasks. `folder`: for the files of the checks."""
    check_tasks(name)
    check_defaults(name)
    check_other_tasks(name)
    for task_name in sorted(families[name].tasks):
        for check in ON_TASK:
            check(name, task_name)
        for last in (False, True):
            check_corners(name, task_name, last)
        check_checkpoint(name, task_name, folder)


ON_TASK: Sequence[Callable[[str, str], None]] = (
    check_decisions,
    check_network,
    check_batch_norm,
    check_gradients,
    check_step,
    check_seed,
    check_canonical,
    check_cost,
    check_source,
)
"""By family and task."""
