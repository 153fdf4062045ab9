"""A space alone, and what it is for: the body of `POST /v1/search-spaces/validate`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import Field, model_validator

from models.cost import cost
from models.family import FamilySettings, InfeasibleError, families
from models.recipe import TrainingSettings
from models.settings import Items, OneOf, Settings
from models.task import GraphSize, Task, TaskName
from models.training.defaults import with_task_defaults
from search.body import Body
from search.problems import SpecError, problem, shown
from search.request.dataset_facts import Lookup, named_facts
from search.request.read import read
from search.request.resolve import facts
from search.request.trained import space_for, start_problems
from search.space import SearchSpace
from search.spec import MAX_SPACES
from search.trial import Candidate


class GraphRequest(Settings):
    """How large a graph is: what a pass through a network costs."""

    nodes: int = Field(ge=1, le=100_000_000)
    edges: int = Field(ge=0, le=1_000_000_000, description="an undirected edge counts twice")
    entries: int | None = Field(
        None, ge=0, le=1_000_000_000, description="features that are not zero; null: stored dense"
    )


class TaskRequest(Settings):
    """A task without its data."""

    name: TaskName
    input_shape: Items[Annotated[int, Field(ge=1, le=1_000_000)]] = Field(max_length=4)
    outputs: int = Field(ge=1, le=1_000_000, description="classes, or values of a regression")
    vocabulary: int | None = Field(
        None, ge=1, le=1_000_000, description="token ids, of a text task only"
    )
    graph: GraphRequest | None = Field(None, description="size of a graph, of a graph task only")
    targets: Items[Annotated[int, Field(ge=0, le=1_000_000)]] | None = Field(
        None, max_length=10_000, description="columns that are forecast, of forecasting only"
    )

    @model_validator(mode="after")
    def _is_a_task(self) -> Self:
        self.task()
        return self

    def task(self) -> Task:
        """
        Raises:
            ValueError: there is no such task.
        """
        size = None if self.graph is None else GraphSize(**self.graph.model_dump())
        return Task(self.name, self.input_shape, self.outputs, self.vocabulary, size, self.targets)


class SpaceRequest(Body):
    """A space, and the dataset or the task that it is for."""

    space: Annotated[
        FamilySettings | tuple[FamilySettings, ...],
        OneOf(families, "family", several=MAX_SPACES),
    ]
    training: TrainingSettings = Field(default_factory=TrainingSettings)
    dataset: str | None = Field(None, min_length=1, max_length=100)
    task: TaskRequest | None = None

    @model_validator(mode="after")
    def _names_what_it_is_for(self) -> Self:
        if (self.dataset is None) == (self.task is None):
            raise ValueError("give either dataset or task")
        return self


@dataclass(frozen=True, slots=True)
class ResolvedSpace:
    """A space that networks for the task can be drawn from."""

    task: Task
    space: SearchSpace

    def cost(self, candidate: Candidate) -> dict[str, float]:
        """Parameters and FLOPs of one sample forward.

        Raises:
            models.family.InfeasibleError: no network can be built from the candidate.
        """
        return cost(candidate.architecture, self.task, candidate.recipe)


def resolve_space(body: object, lookup: Lookup = named_facts) -> ResolvedSpace:
    """A space alone, for a dataset or for a task.

    Raises:
        SpecError: with all problems of the body.
    """
    draft = read(SpaceRequest, body)
    request, task, samples, space = draft.spec, None, None, None
    problems = list(draft.problems)
    try:
        if draft.has("task") and request.task is not None:
            task = request.task.task()
        elif draft.has("dataset") and request.dataset is not None:
            task, samples = _task_of(request.dataset, lookup)
        if task is not None and draft.has("space"):
            training = with_task_defaults(request.training, task.form, samples)
            is_union = isinstance(request.space, tuple) and len(request.space) > 1
            members = request.space if isinstance(request.space, tuple) else (request.space,)
            for member in members:
                problems += start_problems(member.family, training, task)
            members = tuple(member.for_task(task) for member in members)
            space = space_for(members if is_union else members[0], training, task)
    except SpecError as error:
        problems += error.problems
    except InfeasibleError as error:
        problems.append(problem(str(error), "training", error.field))
    if problems or task is None or space is None:
        raise SpecError(problems, draft.untold)
    return ResolvedSpace(task, space)


def _task_of(dataset: str, lookup: Lookup) -> tuple[Task, int]:
    """The task, and how many samples there are to train on.

    Raises:
        SpecError: there is no such dataset, or it is a table.
    """
    known = facts(dataset, lookup)
    if known.task is None:
        message = f"{shown(dataset)} is a table, whose space is its own"
        raise SpecError([problem(message, "dataset")])
    return known.task, known.sizes["train"]
