"""Whether any machine can hold a trial, where they are known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from models.processes.names import is_gone
from service.refusals import InvalidError, ProblemItem, item
from service.sql.database import Sessions
from service.sql.dispatchers import Dispatchers, Node

if TYPE_CHECKING:
    from search.spec import Resources


def require_room(resources: Resources, sessions: Sessions) -> None:
    """
    Raises:
        InvalidError: no node of a dispatcher that is alive can ever hold a trial. Where there is no
            dispatcher, or other nodes may join one, nothing is refused.
    """
    nodes = [dispatcher.node for dispatcher in Dispatchers(sessions).alive(is_gone)]
    known = [node for node in nodes if node is not None]
    cpus, gpus = resources.cpus_per_trial, resources.gpus_per_trial
    if not known or len(known) < len(nodes) or any(node.holds(cpus, gpus) for node in known):
        return
    raise InvalidError(list(_problems(cpus, gpus, known)))


def _problems(cpus: float, gpus: float, nodes: Sequence[Node]) -> Iterator[ProblemItem]:
    """What is more than any node has; where each is there but not together, both."""
    most_cpus, most_gpus = max(n.cpus for n in nodes), max(n.gpus for n in nodes)
    fits_apart = cpus <= most_cpus and gpus <= most_gpus
    have = ", ".join(f"{node.cpus:g} CPUs and {node.gpus:g} GPUs" for node in nodes)
    for name, wanted, most in (("cpus", cpus, most_cpus), ("gpus", gpus, most_gpus)):
        if wanted > most or fits_apart:
            message = (
                f"no node can hold a trial with {wanted:g} {name.upper()[:-1]}s, they have {have}"
            )
            yield item("body", f"/resources/{name}_per_trial", message)
