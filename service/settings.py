"""Settings of the service, from the environment (`NASMITH_...`) or given by name."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from fsspec.registry import known_implementations, registry
from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from nasmith.home import KEY_FILE


def normal_url(url: str) -> str:
    """`url` with the driver that Nasmith uses: psycopg 3 for PostgreSQL.

    Raises:
        ValueError: not a database URL, or another database than SQLite in a file or PostgreSQL.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ValueError(
            "the database URL is none; expected sqlite:///FILE or postgresql://..."
        ) from None
    backend = parsed.drivername.split("+")[0]
    if backend in ("postgres", "postgresql"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    elif backend != "sqlite":
        raise ValueError(f"the database is {backend!r}, supported are sqlite and postgresql")
    elif parsed.database in (None, "", ":memory:"):
        raise ValueError("SQLite needs a file: a database in memory is not shared by processes")
    return parsed.render_as_string(hide_password=False)


API_PATHS = frozenset(
    {"dashboard", "docs", "healthz", "metrics", "openapi.json", "readyz", "v1", "version"}
)
"""How the paths of the API begin."""


def missing_package(url: str) -> str | None:
    """The package that a store at this fsspec URL needs and that is not installed.

    Raises:
        ValueError: no store of this kind is known.
    """
    for part in url.split("::"):
        protocol = part.partition("://")[0] if "://" in part else "file"
        if protocol in registry:
            continue
        if protocol not in known_implementations:
            known = ", ".join(sorted({"file", "s3", "gs", "az"} & known_implementations.keys()))
            raise ValueError(f"no store of the kind {protocol!r} is known; {known} and more are")
        package = str(known_implementations[protocol]["class"]).partition(".")[0]
        if find_spec(package) is None:
            return package
    return None


_OTEL_VARIABLE = "OTEL_EXPORTER_OTLP_ENDPOINT"
_OTEL_EXPORTER = "opentelemetry.exporter.otlp.proto.http"


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # not even the package around it
        return False


class ServiceSettings(BaseSettings):
    """Everything that differs between a laptop and a cluster.

    `database_url` and `store_url` follow from `home` where they are not given. URLs may hold
    passwords, so they are left out of the representation.
    """

    model_config = SettingsConfigDict(
        env_prefix="NASMITH_", frozen=True, extra="forbid", validate_default=True
    )

    home: Path = Field(
        Path("~/.nasmith"), description="embedded database, artifacts, datasets, logs"
    )
    database_url: str = Field("", repr=False, description="sqlite:///FILE or postgresql://...")
    database_connections: int = Field(
        40, ge=2, le=1000, description="largest pool of the API; 12 fewer threads answer requests"
    )
    store_url: str = Field("", repr=False, description="fsspec URL of the artifacts")
    ray_address: str = Field("", description="a running Ray cluster; empty: a local one")
    max_running_searches: int = Field(2, ge=1, le=1000, description="at a time, of a dispatcher")
    max_driver_crashes: int = Field(
        3, ge=1, le=1000, description="in a row without progress, then the search has failed"
    )
    disk_reserve_bytes: int = Field(
        256 * 2**20, ge=0, description="free space below which searches are paused until there is"
    )
    lease_seconds: float = Field(
        15.0, ge=1, le=3600, description="a search whose driver is silent this long is taken over"
    )
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65_535, description="0: any free port")
    admin_key_file: Path | None = Field(
        None, description="where the first admin's key is written; none: admin-key in the home"
    )
    auth: Literal["none", "keys"] = Field(
        "none", description="keys: every request brings one; none: on loopback alone"
    )
    root_path: str = Field(
        "",
        pattern=r"^(/[A-Za-z0-9._~-]+)*$",
        description="the prefix under which a proxy shows the API, like /nasmith",
    )
    allowed_hosts: str = Field(
        "",
        pattern=r"^(\*|[A-Za-z0-9._-]+(, ?[A-Za-z0-9._-]+)*)?$",
        description="names under which clients may ask, beside loopback names and IP addresses, "
        "separated by commas; *: any",
    )
    max_body_bytes: int = Field(1024 * 1024, ge=1024, description="largest JSON body")
    max_upload_bytes: int = Field(2**30, ge=1024, description="largest file of a dataset")
    retention_days: int | None = Field(
        None, ge=1, description="that bundles stay after their search ended, for `nasmith prune`"
    )
    quota_running_searches: int | None = Field(None, ge=1, description="of a tenant, at a time")
    quota_queued_searches: int | None = Field(
        None, ge=1, description="of a tenant, that wait or are paused"
    )
    quota_trials: int | None = Field(
        None, ge=1, description="of a tenant, that its searches may still run"
    )
    quota_worker_seconds: int | None = Field(
        None, ge=1, description="of a tenant, in a day (UTC), after which no further search begins"
    )
    quota_stored_bytes: int | None = Field(
        None, ge=1, description="of a tenant, of datasets and bundles"
    )
    quota_requests_per_minute: int | None = Field(
        None, ge=1, description="of a tenant, to one API process"
    )
    webhooks: Literal["off", "public", "any"] = Field(
        "off",
        description="whether tenants may be told of the end of a search by webhooks: public, by "
        "https on the internet alone; any, also in the networks of this machine, which tenants "
        "then reach from here",
    )
    otel_endpoint: str = Field(
        "",
        repr=False,
        description="base URL of a collector of traces, by OTLP over HTTP; empty: that of "
        "OTEL_EXPORTER_OTLP_ENDPOINT, or none",
    )
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["console", "json"] = "console"

    @field_validator("root_path")
    @classmethod
    def _not_of_the_api(cls, path: str) -> str:
        if path.split("/")[1:2] and path.split("/")[1] in API_PATHS:
            raise ValueError(f"{path} is a path of the API itself; a prefix begins otherwise")
        return path

    @field_validator("home")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        return home.expanduser().absolute()

    @field_validator("store_url")
    @classmethod
    def _can_be_used(cls, url: str) -> str:
        package = missing_package(url) if url else None
        if package is not None:
            what = "'nasmith-server[s3]'" if package == "s3fs" else package
            kind = url.partition("://")[0]
            raise ValueError(f"a store at {kind}:// needs {package}: pip install {what}")
        return url

    @field_validator("otel_endpoint")
    @classmethod
    def _can_be_exported_to(cls, url: str) -> str:
        url = url or os.environ.get(_OTEL_VARIABLE, "")
        if url and not url.startswith(("http://", "https://")):
            raise ValueError(f"{url!r} is no URL of a collector, as http://127.0.0.1:4318")
        if url and not _is_installed(_OTEL_EXPORTER):
            raise ValueError(
                f"traces need OpenTelemetry: pip install 'nasmith-server[otel]', or set neither "
                f"this nor {_OTEL_VARIABLE}"
            )
        return url

    @model_validator(mode="after")
    def _follow_home(self) -> ServiceSettings:
        url = self.database_url or f"sqlite:///{self.home / 'nasmith.db'}"
        object.__setattr__(self, "database_url", normal_url(url))
        if not self.store_url:
            object.__setattr__(self, "store_url", f"file://{self.home}")
        return self

    @property
    def host_names(self) -> frozenset[str]:
        """Beside those that every server answers to."""
        names = [*self.allowed_hosts.split(","), self.host]
        return frozenset(name.strip().lower().rstrip(".") for name in names if name.strip())

    @property
    def database_file(self) -> Path | None:
        """Of SQLite."""
        url = make_url(self.database_url)
        return Path(str(url.database)) if url.get_backend_name() == "sqlite" else None

    @property
    def admin_key(self) -> Path:
        return self.admin_key_file or self.home / KEY_FILE

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def checkpoints(self) -> Path:
        return self.home / "checkpoints"


_PREFIX = "NASMITH_"
_ELSEWHERE = (
    "API_KEY URL DEBUG INSECURE_NO_AUTH",  # of the client and the command line
    "GOLDEN CHAOS_SEED CHAOS_ROUNDS CHAOS_TABLE",  # of the tests
    "OWN_RAY",  # of drivers
)


@dataclass(frozen=True, slots=True)
class UnknownVariable:
    """`nearest`: the name that was probably meant."""

    name: str
    nearest: str | None


def known_variables() -> list[str]:
    """Every environment variable that means something to Nasmith."""
    names = [name.upper() for name in ServiceSettings.model_fields]
    names += [name for line in _ELSEWHERE for name in line.split()]
    return sorted(f"{_PREFIX}{name}" for name in names)


def unknown_variables(environment: Iterable[str]) -> list[UnknownVariable]:
    """Of the names that look like ours, those that mean nothing."""
    known = known_variables()
    unknown = []
    for name in sorted(environment):
        if name.upper().startswith(_PREFIX) and name.upper() not in known:
            nearest = get_close_matches(name.upper(), known, n=1, cutoff=0.85)
            unknown.append(UnknownVariable(name, nearest[0] if nearest else None))
    return unknown


SECRETS = frozenset({"NASMITH_DATABASE_URL", "NASMITH_API_KEY"})
"""Variables that no process needs which trains networks."""


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in environment.items() if name.upper() not in SECRETS}


def environment(settings: ServiceSettings) -> dict[str, str]:
    """The environment variables that give another process the same settings."""
    return {
        f"NASMITH_{name.upper()}": str(value)
        for name, value in settings.model_dump(mode="json").items()
        if value is not None
    }
