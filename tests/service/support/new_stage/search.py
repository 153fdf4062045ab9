"""A search with a stage that is one new file: `python -m tests.service.support.new_stage.search`.

It runs in a process of its own, because a file of the folder of stages is there for good. Prints
what the rest of the product makes of the new kind of trial.
"""

import json
import sys
from pathlib import Path

from fastapi.testclient import TestClient
from pydantic import Field

from search.engine import stages
from search.engine.journal import MemoryJournal, TrialStarted
from search.engine.replay import replay
from search.engine.run import SearchRun
from search.engine.serial import run_serial
from search.engine.stage import Given, stages_in_order
from search.engine.trial_actor import trial_from_text, trial_to_text
from search.evaluators.train import TrainEvaluator
from search.request.resolve import resolve
from search.spec import SearchSpec

BODY = {
    "dataset": "wine",
    "space": {"family": "mlp", "depth": {"low": 1, "high": 3}},
    "strategy": {"name": "random"},
    "training": {"epochs": 1},
    "budget": {"trials": 2},
    "final": {"seeds": 1, "epochs": 1},
}


class RepeatingSpec(SearchSpec):
    """With the one new field."""

    repeats: int = Field(0, ge=0, le=100, description="further seeds of the winner")


def main(home: Path, database_url: str) -> None:
    stages.__path__.append(str(Path(__file__).parent / "stages"))  # before anybody asks for them
    from service.api.app import create_app
    from service.settings import ServiceSettings
    from service.sql.database import connect
    from service.sql.journal import SqlJournal
    from service.sql.queue import Queue
    from tests.service.support.rows import add_search, read_search

    resolved = resolve(BODY)
    spec = RepeatingSpec.model_validate({**resolved.spec.to_json(), "repeats": 2})
    sessions = connect(database_url)
    search_id = add_search(sessions, spec=spec.to_json())
    claim = Queue(sessions).claim("me")
    assert claim is not None
    journal = SqlJournal(sessions, claim, lambda: 0.0)

    def run_on(journal: SqlJournal | MemoryJournal) -> SearchRun:
        return SearchRun(spec, resolved.space, resolved.strategy(), journal, resolved.cost)

    run = run_on(journal)
    phases = []

    class Watched(TrainEvaluator):
        def evaluate(self, trial):  # type: ignore[no-untyped-def]
            phases.append(run.phase)
            return super().evaluate(trial)

    run_serial(run, Watched(spec.dataset, str(home), final_data=spec.final.data))
    history = journal.history()
    resumed = []
    for cut, event in enumerate(history):
        if isinstance(event, TrialStarted):  # a crash before and after it
            for length in (cut, cut + 1):
                before = MemoryJournal()
                before.events = list(history[:length])
                resumed.append(run_on(before).next_trial() == event.trial)
    with TestClient(
        create_app(ServiceSettings(home=home, database_url=database_url)), "http://localhost"
    ) as client:
        path = f"/v1/searches/{search_id}/trials"
        listed = client.get(f"{path}?kind=repeat").json()["items"]
        refused = client.get(f"{path}?kind=repeats")
    row = read_search(sessions, search_id)
    proof = replay(Given(spec, resolved.space, resolved.strategy()), history)
    last = run.trials[-1]
    found = {
        "stages": [stage.__name__ for stage in stages_in_order()],
        "phases": phases,
        "trials": [[trial.kind.name, trial.state.value, trial.seed] for trial in run.trials],
        "told": [event.told for event in history if isinstance(event, TrialStarted)],
        "failed": run.failed_reason,
        "test": ["test_accuracy" in trial.metrics for trial in run.trials],
        "resumed": resumed,
        "replayed": [proof.is_same, proof.asks],
        "to_workers": trial_from_text(trial_to_text(last))[0].kind is last.kind,
        "listed": [[trial["number"], trial["kind"], trial["source"]] for trial in listed],
        "refused": refused.json()["errors"][0]["detail"],
        "done": [row.trials_done, row.baseline_done],
        "best": row.best and row.best["trial"],
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
