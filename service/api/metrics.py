"""Figures for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from service.sql.database import Sessions
from service.sql.searches import count_by_state, oldest_queued
from service.sql.states import SearchState

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """The figures of one application; two in one process do not mix."""

    def __init__(self, sessions: Sessions) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "nasmith_http_requests",
            "Requests answered",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "nasmith_http_request_seconds",
            "From the request to the start of its answer",
            ["method", "route"],
            registry=self.registry,
            buckets=_BUCKETS,
        )
        self.registry.register(_Searches(sessions))


class _Searches(Collector):
    """Counted in the database when somebody asks."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def describe(self) -> Iterator[GaugeMetricFamily]:
        yield GaugeMetricFamily("nasmith_searches", "Searches by state", labels=["state"])

    def collect(self) -> Iterator[GaugeMetricFamily]:
        with self._sessions.read() as session:
            counts, oldest = count_by_state(session), oldest_queued(session)
        searches = GaugeMetricFamily("nasmith_searches", "Searches by state", labels=["state"])
        for state in SearchState:
            searches.add_metric([state.value], counts.get(state, 0))
        yield searches
        age = 0.0 if oldest is None else (datetime.now(UTC) - oldest).total_seconds()
        yield GaugeMetricFamily(
            "nasmith_queue_length", "Searches that wait", counts.get(SearchState.QUEUED, 0)
        )
        yield GaugeMetricFamily(
            "nasmith_queue_oldest_seconds", "How long the first of the queue waits", max(0.0, age)
        )
