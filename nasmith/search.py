"""One search as a client sees it: a snapshot of its resource, and what can be done with it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx2

from nasmith.bundle import BundleError, save_bundle
from nasmith.connection import (
    Backoff,
    Connection,
    OnOutage,
    is_outage,
    pages,
    path_part,
)
from nasmith.errors import NasmithError, ProblemError, ServerError, UnreachableError
from nasmith.rows import rows_of
from nasmith.shown import Plot, Table, Trials, best_table, search_html
from nasmith.states import ENDED, SearchState

NETWORK = "network"
"""The plot that is no chart."""

_LONG_POLL_SECONDS = 25
_SILENCE_SECONDS = 60.0  # the server sends a comment every 15 s
_SHORTEST_PERIOD = 0.2  # seconds from one request to the next while following a search


class SearchFailedError(NasmithError):
    """The search ended without success; `search` is its last state."""

    def __init__(self, search: Search) -> None:
        self.search = search
        reason = f": {search.state_reason}" if search.state_reason else ""
        super().__init__(f"search {search.id} {search.state}{reason}")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a search; `id` grows by one with each."""

    id: str
    type: str
    data: dict[str, Any]


class Search:
    """The resource as the server last sent it, in `document`; `refresh` fetches it again."""

    def __init__(
        self, connection: Connection, document: Mapping[str, Any], etag: str | None = None
    ) -> None:
        self._connection, self._etag = connection, etag
        self.document: dict[str, Any] = dict(document)

    def __repr__(self) -> str:
        return f"<Search {self.id} {self.state} {self.name!r}>"

    @property
    def id(self) -> str:
        return str(self.document["id"])

    @property
    def name(self) -> str:
        return str(self.document["name"])

    @property
    def state(self) -> str:
        """A value of `nasmith.states.SearchState`, or what a later server knows beside them."""
        return str(self.document["state"])

    @property
    def state_reason(self) -> str | None:
        """Why it is in this state, where there is something to say."""
        reason: str | None = self.document.get("state_reason")
        return reason

    @property
    def progress(self) -> dict[str, Any]:
        """`trials_done` and `trials_total`, `baseline_done` and `baseline_total`, `epochs_done`,
        `elapsed_seconds`, `eta_seconds`.
        """
        return dict(self.document.get("progress") or {})

    @property
    def spec(self) -> dict[str, Any]:
        """The request with every default filled in."""
        return dict(self.document["spec"])

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED

    def refresh(self) -> Self:
        """Fetch the present state."""
        self._poll(0)
        return self

    def changes(
        self,
        timeout: float | None = None,
        patience: float = 300.0,
        on_outage: OnOutage | None = None,
    ) -> Iterator[Self]:
        """The search now, after each change that the server tells and after each outage, until it
        has ended.

        Goes on through restarts of the server: while it is away, `on_outage` gets a sentence
        before each new attempt.

        Raises:
            TimeoutError: not ended after `timeout` seconds.
            UnreachableError: the server was away for `patience` seconds.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        self._poll(0, patience, on_outage)
        yield self
        while not self.has_ended:
            left = _LONG_POLL_SECONDS if deadline is None else deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"search {self.id} is {self.state} after {timeout:g} s")
            started = time.monotonic()
            try:
                is_news = self._poll(min(_LONG_POLL_SECONDS, left), patience=0)
            except (UnreachableError, ServerError) as error:
                if on_outage is not None:
                    on_outage(f"{str(error).splitlines()[0]}; trying again")
                self._poll(0, patience, on_outage)
                is_news = True
            if is_news:
                yield self
            time.sleep(max(0.0, started + _SHORTEST_PERIOD - time.monotonic()))

    def wait(
        self, *, progress: bool = False, timeout: float | None = None, patience: float = 300.0
    ) -> Self:
        """Return when the search has succeeded; with `progress`, show a bar on stderr.

        Raises:
            SearchFailedError: it failed or was cancelled.
            TimeoutError: not ended after `timeout` seconds; it goes on.
            UnreachableError: the server was away for `patience` seconds.
        """
        if progress:
            from nasmith.progress import show_progress

            show_progress(self, timeout=timeout, patience=patience)
        else:
            for _ in self.changes(timeout, patience):
                pass
        if self.state != SearchState.SUCCEEDED:
            raise SearchFailedError(self)
        return self

    def _repr_html_(self) -> str:
        return search_html(self)

    def trials(self, **filters: Any) -> Trials:
        """The trials in the order of their numbers, a page at a time; `.to_pandas()` has them as a
        data frame, and a notebook shows the first.

        `filters` are query parameters of `GET /v1/searches/{id}/trials`: `state`, `kind`.
        """
        params = {"page_size": 100, **{k: v for k, v in filters.items() if v is not None}}
        return Trials(lambda: pages(self._connection, f"{self._path}/trials", params))

    def trial(self, number: int) -> dict[str, Any]:
        """One trial with its learning curve.

        Raises:
            NotFoundError: no such trial.
        """
        response = self._connection.request("GET", f"{self._path}/trials/{number}")
        return dict(response.json())

    def best(self) -> list[dict[str, Any]]:
        """The winner, or the Pareto set; before the end, the best so far; may be empty."""
        response = self._connection.request("GET", f"{self._path}/best")
        return list(response.json()["items"])

    def picture(self, trial: int | None = None, *, beside: int | None = None) -> str:
        """The picture of a trial's network as SVG, of the best without `trial`; `beside`: another
        trial that is drawn beside it, with what differs marked.

        Raises:
            ConflictError: there is no such network (yet).
        """
        if trial is None:
            trial = next((item["trial"] for item in self.best()), 0)
        return self._connection.request(
            "GET",
            f"{self._path}/trials/{trial}/architecture.svg",
            params=None if beside is None else {"beside": beside},
            headers={"Accept": "image/svg+xml"},
        ).text

    def best_table(self) -> Table:
        """The best of the search with its search, final and test scores, as a notebook shows it."""
        objectives = [objective["metric"] for objective in self.spec["objectives"]]
        return best_table(self.best(), objectives)

    def plot(self, name: str = "progress") -> Plot:
        """A chart of the report: `progress`, `trials`, `scores`, `test`, `importance`, `curves`,
        `pareto`, `proxies`; or `network`, the picture of the best one.

        Raises:
            NotFoundError: the search has no such chart (yet); it says which it has.
        """
        if name == NETWORK:
            return Plot(name, self.picture())
        path = f"{self._path}/charts/{path_part(name)}"
        headers = {"Accept": "image/svg+xml"}
        return Plot(name, self._connection.request("GET", path, headers=headers).text)

    def report(self) -> dict[str, Any]:
        """For each objective: the best so far by trial, the comparison with the baseline, and
        which decisions mattered; with how well zero-cost scores ranked the networks.
        """
        return dict(self._connection.request("GET", f"{self._path}/report").json())

    def memory(self) -> list[dict[str, Any]]:
        """What the search remembers of earlier ones on other data, as it was written down when it
        was submitted: of each the `recollections`, candidates with their place there in 0..1.
        """
        return list(self._connection.request("GET", f"{self._path}/memory").json()["items"])

    def report_page(self) -> str:
        """The same for people: HTML that is whole in one file, with charts, to keep or to print."""
        return self._connection.request(
            "GET",
            f"{self._path}/report",
            params={"format": "html"},
            headers={"Accept": "text/html"},
            read_timeout=120.0,
        ).text

    def compare(self, other: Search) -> list[dict[str, Any]]:
        """By how much this search is better than `other`, trial by trial, for each objective that
        both have; empty where their data differ or one has no result.
        """
        return list(self._comparison(other)["differences"])

    def compare_over_seeds(
        self, other: Search, runs: Sequence[Search], other_runs: Sequence[Search]
    ) -> list[dict[str, Any]]:
        """By how much searches like this one are better than searches like `other`, for each
        objective and each score of theirs, with the interval over seeds. `runs` and `other_runs`
        are repeats of them (`repeat`), one of each a pair.

        Raises:
            InvalidRequestError: not as many of one as of the other, or no repeats.
        """
        sides = {"runs": runs, "other_runs": other_runs}
        ids = {name: ",".join(run.id for run in side) for name, side in sides.items()}
        return list(self._comparison(other, ids)["over_seeds"])

    def _comparison(self, other: Search, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        path = f"{self._path}/comparison/{path_part(other.id)}"
        return dict(self._connection.request("GET", path, params=params).json())

    def repeat(self, seed: int) -> Search:
        """A search for the same with another seed: the same one each time that it is asked for."""
        response = self._connection.request(
            "POST",
            "/v1/searches",
            json={**self.spec, "name": f"{self.name[:160]} (seed {seed})", "seed": seed},
            headers={"Idempotency-Key": f"repeat-{self.id}-{seed}"},
        )
        return Search(self._connection, response.json(), response.headers.get("ETag"))

    def download(
        self, directory: str | Path, *, trial: int | None = None, overwrite: bool = False
    ) -> Path:
        """Unpack the bundle of the best model, or of final trial `trial`, into `directory`.

        Every file is held to the bundle's SHA256SUMS before the directory appears.

        Raises:
            ConflictError: there is no bundle (yet).
            FileExistsError: the directory has something in it and `overwrite` is off.
            BundleError: what came is damaged, or names files outside of the directory.
        """
        which = "best" if trial is None else f"trials/{trial}"
        headers = {"Accept": "application/zip"}
        path = f"{self._path}/{which}/bundle"
        backoff = Backoff(self._connection.url, self._connection.patience)
        while True:
            try:
                with self._connection.stream(path, headers, 60.0) as response:
                    return save_bundle(response.iter_bytes(), Path(directory), overwrite=overwrite)
            except (httpx2.TransportError, ProblemError) as error:
                if not is_outage(error):
                    raise
                backoff.wait(error)

    def download_as(
        self,
        form: str,
        directory: str | Path = ".",
        *,
        trial: int | None = None,
        overwrite: bool = False,
    ) -> Path:
        """Write `model.onnx` or `model.pt2`, by `form`, of the best model or of a trial that has a
        bundle into the directory; the server makes it where it has not, which takes some seconds.

        Raises:
            ConflictError: there is no bundle (yet), or the model has no such form.
            FileExistsError: the file is there and `overwrite` is off.
        """
        target = Path(directory) / f"model.{form}"
        if target.exists() and not overwrite:
            raise FileExistsError(f"{target} exists")
        if trial is None:
            trial = next((item["trial"] for item in self.best() if item["bundle"]), 0)
        path = f"{self._path}/trials/{trial}/model/{path_part(form)}"
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.part")
        try:
            with self._connection.stream(path, {"Accept": "*/*"}, 400.0) as response:
                with partial.open("wb") as file:
                    file.writelines(response.iter_bytes())
                if partial.stat().st_size != int(response.headers["Content-Length"]):
                    raise BundleError(f"{target.name} did not come whole")
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        return target

    def predict(
        self, rows: Iterable[Mapping[str, Any] | str], *, missing: str = "error"
    ) -> dict[str, Any]:
        """What the best model says of rows as people write them, of texts, or of a data frame; the
        server asks it. Dates, NumPy's numbers and NaN are cells too.

        Returns:
            `predictions`, one a row; and what there is to say of the rows: `unknown`,
            `unreadable`, `empty` and `unsigned` (numbers without the percent sign that training
            had), cells by column, `filled` and `ignored`, columns;
            `turned`, whether the rows of a series came newest first; `no_forecast`, series of which
            there is none, and why.

        missing: `fill` has a column that is not given count as missing.

        Raises:
            ConflictError: there is no model (yet).
            InvalidRequestError: rows that it cannot take; names row and column.
            TypeError, ValueError: no JSON holds a cell; names row and column.
        """
        response = self._connection.request(
            "POST",
            f"{self._path}/best/predict",
            json={"rows": rows_of(rows), "missing": missing},
            read_timeout=180.0,
        )
        return dict(response.json())

    def events(
        self, last_event_id: str | None = None, *, patience: float = 300.0
    ) -> Iterator[Event]:
        """What happens, as it happens, without holes: events after `last_event_id`, or all from
        the first on. Ends when the search has ended and everything was sent.

        A broken stream is taken up again after the last event received.

        Raises:
            UnreachableError: the server was away for `patience` seconds.
        """
        backoff = Backoff(self._connection.url, patience)
        while True:
            headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
            if last_event_id is not None:
                headers["Last-Event-ID"] = last_event_id
            path = f"{self._path}/events"
            try:
                with self._connection.stream(path, headers, _SILENCE_SECONDS) as response:
                    if response.status_code == httpx2.codes.NO_CONTENT:
                        return
                    for sent in httpx2.EventSource(response):
                        if sent.data:
                            backoff.reset()
                            last_event_id = sent.id
                            yield Event(sent.id, sent.event, json.loads(sent.data))
                time.sleep(_SHORTEST_PERIOD)
            except (httpx2.TransportError, ProblemError) as error:
                if not is_outage(error):
                    raise
                backoff.wait(error)

    def cancel(self) -> Self:
        """Ask for the end of the search; it keeps the results it has."""
        return self._act("cancel")

    def pause(self) -> Self:
        """Ask for a pause: running trials end, no new one starts."""
        return self._act("pause")

    def resume(self) -> Self:
        """Take up a paused search."""
        return self._act("resume")

    def update(self, **fields: Any) -> Self:
        """Change a search that has not ended: `name`, `budget={"trials": 40, "seconds": None}`,
        `resources={"parallel_trials": 3}`; what is left out stays.
        """
        response = self._connection.request("PATCH", self._path, json=fields)
        return self._take(response)

    def delete(self) -> None:
        """Delete an ended search with its trials and artifacts.

        Raises:
            ConflictError: it has not ended.
        """
        self._connection.request("DELETE", self._path, repeat=False)

    @property
    def _path(self) -> str:
        return f"/v1/searches/{path_part(self.id)}"

    def _act(self, action: str) -> Self:
        return self._take(self._connection.request("POST", f"{self._path}/{action}"))

    def _take(self, response: httpx2.Response) -> Self:
        self.document, self._etag = dict(response.json()), response.headers.get("ETag")
        return self

    def _poll(
        self, wait: float, patience: float | None = None, on_outage: OnOutage | None = None
    ) -> bool:
        """Whether the server sent another state than the one held; waits up to `wait` seconds."""
        seconds = int(wait)
        response = self._connection.request(
            "GET",
            self._path,
            params={"wait": seconds} if seconds else None,
            headers={"If-None-Match": self._etag} if self._etag else None,
            read_timeout=seconds + 15.0,
            patience=patience,
            on_outage=on_outage,
        )
        if response.status_code == httpx2.codes.NOT_MODIFIED:
            return False
        self._take(response)
        return True
