"""Traces by OpenTelemetry, for whoever names a collector: `NASMITH_OTEL_ENDPOINT`.

What the collector does with them is no concern of a search: they are sent from a thread of their
own, and dropped where nobody takes them. Headers, sampling and the rest are set by the standard
variables, `OTEL_...`.
"""

from __future__ import annotations

import importlib.metadata
import os
import socket
import threading
import uuid
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from opentelemetry.trace import NoOpTracer, Tracer

from service.settings import ServiceSettings

if TYPE_CHECKING:
    from fastapi.telemetry import TelemetryConfig
    from opentelemetry.sdk.trace import TracerProvider

FLUSH_SECONDS = 2.0
"""What is still to be sent at the end of a process has so long."""

NAME = "nasmith-server"

_PATH = "/v1/traces"
_SILENT = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked every few seconds by machines."""


class Traces:
    """Of this process. `role`: its part in the service. `search_id`: all that is traced is of this
    search, and its trace has the UUID of the search's id, whichever process goes on with it.

    Nothing is imported and nothing is done where the settings name no collector.
    """

    def __init__(self, settings: ServiceSettings, role: str, search_id: str | None = None) -> None:
        endpoint = settings.otel_endpoint
        self.provider = _provider(endpoint, role, search_id) if endpoint else None

    @property
    def tracer(self) -> Tracer:
        return NoOpTracer() if self.provider is None else self.provider.get_tracer(NAME)

    def close(self) -> None:
        """Send what waits; returns after `FLUSH_SECONDS` at the latest."""
        if self.provider is not None:
            flush = threading.Thread(target=self.provider.shutdown, daemon=True)
            flush.start()
            flush.join(FLUSH_SECONDS)


def of_requests(traces: Traces) -> TelemetryConfig:
    """What FastAPI does: a span for each request but those of machines that only ask how we are."""
    if traces.provider is None:
        return {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
    return {
        "tracer_provider": traces.provider,
        "metrics": False,  # `/metrics` has them
        "logs": False,
        "operation_spans": False,
        "auto_configure": False,
        "exclude": lambda scope: scope["path"] in _SILENT,
    }


def is_answered(endpoint: str, seconds: float = 2.0) -> bool:
    """Whether something listens where a collector should."""
    url = urlsplit(endpoint)
    try:
        port = url.port or (443 if url.scheme == "https" else 80)
        with socket.create_connection((url.hostname or "", port), seconds):
            return True
    except (OSError, ValueError):
        return False


def _provider(endpoint: str, role: str, search_id: str | None) -> TracerProvider:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class OneTrace(RandomIdGenerator):
        def generate_trace_id(self) -> int:
            return uuid.UUID(str(search_id).partition("_")[2]).int

    provider = TracerProvider(
        resource=Resource.create(
            {
                "service.name": os.environ.get("OTEL_SERVICE_NAME") or NAME,
                "service.version": importlib.metadata.version(NAME),
                "nasmith.role": role,
            }
        ),
        id_generator=RandomIdGenerator() if search_id is None else OneTrace(),
        shutdown_on_exit=False,  # `close` does it, and waits no longer than it may
    )
    exporter = OTLPSpanExporter(endpoint=endpoint.rstrip("/") + _PATH)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider
