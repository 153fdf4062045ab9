"""The Python client of a Nasmith server. Imports no torch, no Ray and no server code.

from nasmith import Client

with Client("http://127.0.0.1:8000") as client:
    search = client.searches.create(
        dataset="digits",
        space={"family": "cnn_cell"},
        strategy={"name": "regularized_evolution"},
    )
    search.wait(progress=True)
    search.download("best-model")
"""

from nasmith.bundle import BundleError
from nasmith.client import Client, Searches
from nasmith.dataset import Datasets
from nasmith.errors import (
    AuthenticationError,
    ConflictError,
    InvalidRequestError,
    NasmithError,
    NotFoundError,
    ProblemError,
    ServerError,
    TooManyRequestsError,
    UnreachableError,
)
from nasmith.search import Event, Search, SearchFailedError

__all__ = [
    "AuthenticationError",
    "BundleError",
    "Client",
    "ConflictError",
    "Datasets",
    "Event",
    "InvalidRequestError",
    "NasmithError",
    "NotFoundError",
    "ProblemError",
    "Search",
    "SearchFailedError",
    "Searches",
    "ServerError",
    "TooManyRequestsError",
    "UnreachableError",
]
