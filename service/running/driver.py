"""One search, start to end, in a process of its own: `python -m service.running.driver`.

A driver is started before there is work for it. It joins Ray, imports what a search needs, writes
`ready` to stdout and waits for one line on stdin, the JSON of a claim. It runs that search and
ends. It dies with the dispatcher that started it.
"""

from __future__ import annotations

import faulthandler
import json
import logging
import math
import os
import signal
import sys
import time
from pathlib import Path
from typing import TextIO

from sqlalchemy.exc import SQLAlchemyError

from models.datasets.reference import load_dataset
from models.simple import simple_results
from search.engine.control import Orders
from search.engine.journal import StaleOwnerError
from search.engine.ray_tune import CAPACITY_SECONDS, run_ray_tune
from search.engine.run import SearchRun
from search.engine.serial import run_serial
from search.memory import Memory
from search.request.opening import opening
from search.request.resolve import Resolved, SpecError, reopen
from search.request.screening import Screening
from search.spec import SIMPLE, SearchSpec
from service.logs import configure_logs
from service.running.causes import cause
from service.running.exits import Exit
from service.running.lease_keeper import LeaseKeeper
from service.running.publishing import Publisher
from service.running.ray_runtime import is_connected, join, may_grow, warm_up
from service.running.search_trace import SearchTrace
from service.running.space import Space
from service.settings import ServiceSettings
from service.sql.batched_journal import BatchedJournal
from service.sql.database import Sessions, connect
from service.sql.dataset_facts import TenantDatasets
from service.sql.journal import SqlJournal
from service.sql.lease import Claim
from service.sql.ledger import Ledger
from service.sql.memory import memory_of
from service.sql.outages import is_outage
from service.sql.queue import Queue
from service.sql.states import SearchState
from service.store.layout import checkpoints_url

log = logging.getLogger(__name__)

READY = "ready"


class SearchFailedError(RuntimeError):
    """The search cannot have a result; the message is its `state_reason`."""


PUBLISHING_SECONDS = 15.0
"""Of a bundle: export, and what proves it in a fresh process. A quarter of a budget at most."""

SIMPLE_SECONDS = 10.0
"""Of the simple models beside a search. A tenth of a budget at most."""


def time_left(spec: SearchSpec, elapsed: float) -> float:
    """Seconds of the budget."""
    return math.inf if spec.budget.seconds is None else spec.budget.seconds - elapsed


class ClientControl:
    """The orders of a search's clients, made as the engine starts. Of the time budget the engine
    has what was not spent before and is not needed to publish.
    """

    def __init__(self, keeper: LeaseKeeper, space: Space) -> None:
        self._keeper, self._space = keeper, space
        self._before = keeper.stopwatch.elapsed()

    def orders(self) -> Orders:
        self._keeper.turn()
        requests = self._keeper.requests
        spec = requests.spec
        seconds = math.inf if spec.budget.seconds is None else spec.budget.seconds
        bundles = spec.final.top + (spec.ensemble is not None)
        publishing = min(bundles * PUBLISHING_SECONDS, seconds / 4)
        if SIMPLE in spec.baselines:
            publishing += min(SIMPLE_SECONDS, seconds / 10)
        is_to_pause = requests.action == "pause" or self._space.shortage() is not None
        return Orders(
            "pause" if is_to_pause else "run",  # a cancel ends the process
            trials=spec.budget.trials,
            seconds=seconds if seconds == math.inf else seconds - publishing - self._before,
            parallel_trials=spec.resources.parallel_trials,
        )


class Driver:
    """Runs the search of one claim. Whatever happens, the search ends up settled: ended with its
    reason, paused, or given back.
    """

    def __init__(self, settings: ServiceSettings, sessions: Sessions, claim: Claim) -> None:
        self._settings, self._sessions, self._claim = settings, sessions, claim
        self._queue = Queue(sessions, settings.lease_seconds)
        self._requests = self._queue.requests(claim)
        self.keeper = LeaseKeeper(self._queue, claim, self._requests, exit=self._leave)
        self._trace = SearchTrace(settings, claim)
        self._space = Space(settings)

    def run(self) -> Exit:
        if self._requests.action is None:  # else there is nothing to watch over, only to settle
            self.keeper.start()
        try:
            code = self._run()
        except StaleOwnerError as error:
            log.error("stopping: %s", error)
            code = Exit.LOST
        except SQLAlchemyError as error:
            if not is_outage(error):
                raise
            log.exception("the database stayed away")
            code = Exit.OUTAGE
        self.keeper.close()
        self._trace.close(code)
        return code

    def _leave(self, code: int) -> None:
        """End the process, wherever it is."""
        self._trace.close(code)
        os._exit(code)

    def _run(self) -> Exit:
        reason: str | None = None
        try:
            reason = None if self._requests.action else self._search()
            if reason is None:
                state = self._settle()
            else:
                self._queue.finish(self._claim, state := SearchState.SUCCEEDED, reason or None)
        except (StaleOwnerError, SQLAlchemyError):
            raise
        except SearchFailedError as error:
            reason = str(error)
            self._queue.finish(self._claim, state := SearchState.FAILED, reason)
        except Exception as error:  # a search always ends with a cause that its client can read
            if not is_connected():
                log.exception("the Ray runtime is lost")
                return Exit.NO_RAY
            log.exception("search %s failed", self._claim.search_id)
            reason = cause(error, _log_of(self._settings, self._claim))
            self._queue.finish(self._claim, state := SearchState.FAILED, reason)
        log.info("search %s is %s", self._claim.search_id, state)
        self._trace.settled(state, reason)
        return Exit.DONE

    def _settle(self) -> SearchState:
        """Of a search that is not finished: what a client asked for, else a pause for want of
        space, until there is.
        """
        shortage = self._space.shortage()
        if shortage is None or self.keeper.requests.action is not None:
            return self._queue.settle(self._claim)
        return self._queue.pause(self._claim, f"waiting for {shortage}")

    def _search(self) -> str | None:
        """Search, train the finals, publish. Why the search stage ended early, if it did; None
        where a client, or a full disk, paused the search.
        """
        resolved = self._resolved()
        spec, source = resolved.spec, resolved.source
        url = checkpoints_url(self._settings.store_url, self._claim.search_id)
        journal = SqlJournal(self._sessions, self._claim, self.keeper.stopwatch.elapsed)
        batches = BatchedJournal(journal)
        screening = Screening.of(resolved)
        run = SearchRun(
            spec,
            resolved.space,
            resolved.strategy(self._memory()),
            self._trace.of(journal) if source.trains else batches,
            resolved.cost,
            suggestions=opening(resolved, screening),
            screen=screening,
            networks_per_trial=resolved.dataset.networks_per_trial,
        )
        if not run.finished:
            run.prepare()
            control = ClientControl(self.keeper, self._space)
            make_evaluator = source.evaluator(spec, url)
            if source.trains:
                run_ray_tune(
                    run,
                    make_evaluator,
                    spec.resources,
                    control,
                    tell=self.keeper.tell,
                    capacity_seconds=CAPACITY_SECONDS if may_grow() else 0.0,
                )
            else:
                run_serial(run, make_evaluator(), control)
                batches.flush()
        self.keeper.rest()
        if not run.finished:
            return None
        if run.failed_reason is not None:
            raise SearchFailedError(run.failed_reason)
        if not source.trains:
            return run.exhausted_reason or ""
        ledger = Ledger(self._sessions, self._claim)
        dataset = load_dataset(resolved.dataset.reference)
        publisher = Publisher(
            ledger,
            self._claim,
            self._settings.store_url,
            spec,
            self._requests.name,
            dataset,
        )
        reason = publisher.publish(run.trials)
        if reason is not None:
            raise SearchFailedError(f"no bundle could be published: {reason}")
        if SIMPLE in spec.baselines and not ledger.has_simple():
            left = time_left(spec, self.keeper.stopwatch.elapsed())
            ledger.keep_simple([found.to_json() for found in simple_results(dataset, left)])
        return run.exhausted_reason or ""

    def _memory(self) -> Memory:
        """As it was written down when the search was submitted."""
        if not self._requests.spec.memory:
            return ()
        with self._sessions.read() as session:
            return memory_of(session, self._requests.tenant_id, self._claim.search_id)

    def _resolved(self) -> Resolved:
        try:
            datasets = TenantDatasets(
                self._sessions, self._requests.tenant_id, self._settings.store_url
            )
            resolved = reopen(self._requests.spec, datasets)
        except SpecError as error:
            raise SearchFailedError(f"the stored spec cannot run: {error}") from error
        if resolved.dataset.fingerprint != self._requests.dataset_fingerprint:
            raise SearchFailedError(
                f"the dataset {resolved.spec.dataset!r} has changed since the search was posted"
            )
        return resolved


def main() -> None:
    faulthandler.enable()
    protocol = _take_stdout()
    settings = ServiceSettings()
    configure_logs(settings.log_level, settings.log_format)
    sessions = connect(settings.database_url, connections=3)
    join(settings)
    warm_up()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(Exit.DONE))  # nothing to give back yet
    protocol.write(f"{READY}\n")
    protocol.flush()
    line = sys.stdin.readline()
    if not line:
        os._exit(Exit.DONE)
    claim = Claim(**json.loads(line))
    _log_to(_log_of(settings, claim))
    code = _drive(settings, sessions, claim)
    logging.shutdown()
    os._exit(code)  # at once: an orderly end of Ray takes seconds, and nobody waits for it


def _drive(settings: ServiceSettings, sessions: Sessions, claim: Claim) -> int:
    start = time.monotonic()
    try:
        driver = Driver(settings, sessions, claim)
    except StaleOwnerError as error:
        log.error("came too late: %s", error)
        return Exit.LOST
    except SQLAlchemyError:
        log.exception("the database is away")
        return Exit.OUTAGE
    signal.signal(signal.SIGTERM, lambda *_: driver.keeper.stop())
    code = driver.run()
    log.info("done with %s after %.1f s", claim, time.monotonic() - start)
    return code


def _take_stdout() -> TextIO:
    """The pipe to the dispatcher; whatever else is printed goes to stderr from now on."""
    protocol = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return protocol


def _log_to(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)


def _log_of(settings: ServiceSettings, claim: Claim) -> Path:
    return settings.logs / f"{claim.search_id}.log"


if __name__ == "__main__":
    main()
