"""`nasmith replay`: the proof that a search can be repeated."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from nasmith.commands.options import Json, SearchId, Url, client_at
from nasmith.commands.output import EXIT_FAILED_SEARCH, UsageError, print_json
from nasmith.states import SearchState
from service.commands.options import Home, settings_of

if TYPE_CHECKING:
    from search.request.dataset_facts import DatasetFacts


def replay(search_id: SearchId, home: Home = None, url: Url = None, as_json: Json = False) -> None:
    """Prove that a search can be repeated: asked and told again in the recorded order, its
    strategy proposes the same networks.

    Exits with 1 and the first difference where it does not. An uploaded table, or proxies on
    uploaded data, need the home of the server.
    """
    with client_at(url) as client:
        search = client.searches.get(search_id)
        if search.state == SearchState.RUNNING:
            raise UsageError(f"{search.id} is running; replay it when it has ended or is paused")
        from search.memory import Remembered
        from search.request.read import stored_spec
        from search.request.resolve import SpecError
        from search.streams import FORMAT
        from service.commands.replaying import facts_from, replayed

        try:
            spec = stored_spec(search.spec)
        except SpecError as error:
            raise UsageError(f"{search.id} cannot be replayed here: {error}") from None

        def lookup(name: str) -> DatasetFacts:
            document = client.datasets.get(name)
            needs_data = document["task"] == "table" or spec.scored_by
            if document["source"] == "uploaded" and needs_data:
                return own_facts(home, search.id, name)
            return facts_from(document)

        memory = [Remembered.from_json(found) for found in search.memory()] if spec.memory else []
        try:
            answer = {"search": search.id, **replayed(spec, search.trials(), lookup, memory)}
        except SpecError as error:
            raise UsageError(f"{search.id} cannot be replayed here: {error}") from None
    difference = answer["difference"]
    if as_json:
        print_json(answer)
    elif difference is None:
        is_older = answer["format"] < FORMAT
        how = ", by the random streams of the older version that began it" if is_older else ""
        print(f"{search.id} {answer['asks']} proposals are the same again{how}")
    else:
        print(f"{search.id} {answer['differences']} of {answer['asks']} proposals differ")
        for name, value in difference.items():
            print(f"  {name:<9} {value}")
    if difference is not None:
        raise typer.Exit(EXIT_FAILED_SEARCH)


def own_facts(home: Path | None, search_id: str, name: str) -> DatasetFacts:
    """Of a dataset in the database of this machine's server."""
    from sqlalchemy.exc import SQLAlchemyError

    from service.sql.database import connect
    from service.sql.dataset_facts import TenantDatasets
    from service.sql.tables import Search as SearchRow

    settings = settings_of(home)
    elsewhere = UsageError(
        f"the data of {name!r} are needed, which are only where its server runs, and "
        f"{settings.home} is not the home of that server: --home"
    )
    if settings.database_file is not None and not settings.database_file.exists():
        raise elsewhere  # and nothing is made there
    sessions = connect(settings.database_url)
    try:
        with sessions.read() as session:
            search = session.get(SearchRow, search_id)
        if search is None:
            raise elsewhere
        return TenantDatasets(sessions, search.tenant_id, settings.store_url)(name)
    except SQLAlchemyError:
        raise elsewhere from None
    finally:
        sessions.engine.dispose()
