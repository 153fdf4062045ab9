"""Settings of the service, from the environment (`NASMITH_...`) or given by name."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError


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


API_PATHS = frozenset({"docs", "healthz", "metrics", "openapi.json", "readyz", "v1", "version"})
"""How the paths of the API begin."""


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
    database_connections: int = Field(20, ge=2, le=1000, description="largest pool of the API")
    store_url: str = Field("", repr=False, description="fsspec URL of the artifacts")
    ray_address: str = Field("", description="a running Ray cluster; empty: a local one")
    max_running_searches: int = Field(2, ge=1, le=1000, description="at a time, of a dispatcher")
    max_driver_crashes: int = Field(
        3, ge=1, le=1000, description="in a row without progress, then the search has failed"
    )
    lease_seconds: float = Field(
        15.0, ge=1, le=3600, description="a search whose driver is silent this long is taken over"
    )
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65_535, description="0: any free port")
    root_path: str = Field(
        "",
        pattern=r"^(/[A-Za-z0-9._~-]+)*$",
        description="the prefix under which a proxy shows the API, like /nasmith",
    )
    max_body_bytes: int = Field(1024 * 1024, ge=1024, description="largest JSON body")
    max_upload_bytes: int = Field(2**30, ge=1024, description="largest file of a dataset")
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

    @model_validator(mode="after")
    def _follow_home(self) -> ServiceSettings:
        url = self.database_url or f"sqlite:///{self.home / 'nasmith.db'}"
        object.__setattr__(self, "database_url", normal_url(url))
        if not self.store_url:
            object.__setattr__(self, "store_url", f"file://{self.home}")
        return self

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def checkpoints(self) -> Path:
        return self.home / "checkpoints"


def environment(settings: ServiceSettings) -> dict[str, str]:
    """The environment variables that give another process the same settings."""
    return {
        f"NASMITH_{name.upper()}": str(value)
        for name, value in settings.model_dump(mode="json").items()
        if value is not None
    }
