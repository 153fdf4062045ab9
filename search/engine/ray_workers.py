"""Joining a Ray runtime, and worker processes that are warm before there is a search.

A worker process takes a second to start and three more to import what training needs. Ray gives an
actor a process that is already there only if that process has not run anything yet and neither of
the two has an environment of its own. Hence: the environment of the node, and not of a job, makes
workers import in advance (`NODE_ENVIRONMENT`); drivers join without a runtime environment; Tune is
kept from giving one to its actors; and `prestart` asks for processes without giving them work.

Ray is imported inside of the functions, because whoever starts a runtime reads the constants here
and may serve the API as well.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import sysconfig
import time

SHARED_MODULES = (
    "search.evaluators.train",
    "sklearn.datasets",
    "torch._dynamo",  # else imported by the first optimizer, for a second
    "pandas",  # this and the next for Tune
    "pyarrow.fs",
)
"""What workers need beside Ray and what imports it."""

PRELOADED_MODULES = ("search.engine.trial_actor", *SHARED_MODULES, "search.engine.preloading")
"""The last one takes plug-ins in, which may start threads: not before a fork."""

NODE_ENVIRONMENT = {
    "RAY_preload_python_modules": ",".join(PRELOADED_MODULES),
    "RAY_prestart_worker_first_driver": "0",  # one process a core is too many for a large machine
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_worker_niceness": "0",  # at Ray's 15, searches starve where anything else runs
    "PYTHONSAFEPATH": "1",  # workers import nothing that lies beside Ray's own script
}
"""Of a Ray node that runs our trials, set where the node is started."""

_UNAVAILABLE = "nasmith_never_available"
_BACKLOG_SECONDS = 0.3


def soft_limit(cpus: int) -> dict[str, str]:
    """Environment of a node: how many worker processes it keeps though they are idle. Ray's
    default, one a core, ends the warm ones as soon as a search is busy on all cores.
    """
    return {"RAY_num_workers_soft_limit": str(cpus + 4)}


def connect(address: str) -> None:
    """Join the Ray runtime at `address`; raises ConnectionError where there is none.

    Ray puts the working folder of whoever joins before everything else on the path of workers, so
    that a `models.py` there would hide our package. The folder of the standard library stands in
    for it, which is on their path anyway.
    """
    import ray

    with contextlib.chdir(sysconfig.get_path("stdlib")):
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR)


def is_connected() -> bool:
    """Whether the runtime that this process joined is still there. Asks the head's port and not
    Ray, which would wait for a lost head for a minute.
    """
    import ray

    if not ray.is_initialized():
        return False
    host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), 2.0):
            return True
    except OSError:
        return False


def prestart(workers: int) -> None:
    """Have this node start idle worker processes; returns before they are there.

    A task that waits makes Ray start a process for each task behind it. These wait for a resource
    that no node has, and are withdrawn.
    """
    import ray

    @ray.remote(num_cpus=0, resources={_UNAVAILABLE: 1}, max_retries=0)
    def wait() -> None:
        """Never runs."""

    tasks = [wait.remote() for _ in range(workers + 1)]
    time.sleep(_BACKLOG_SECONDS)
    for task in tasks:
        ray.cancel(task)
