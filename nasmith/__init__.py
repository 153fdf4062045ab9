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

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nasmith.bundle import BundleError
    from nasmith.client import Client, Searches
    from nasmith.dataset import Datasets
    from nasmith.errors import (
        AuthenticationError,
        ConflictError,
        DatasetError,
        InvalidRequestError,
        NasmithError,
        NotFoundError,
        ProblemError,
        ServerError,
        TooManyRequestsError,
        UnreachableError,
    )
    from nasmith.keys import Keys
    from nasmith.search import Event, Search, SearchFailedError

__all__ = [
    "AuthenticationError",
    "BundleError",
    "Client",
    "ConflictError",
    "DatasetError",
    "Datasets",
    "Event",
    "InvalidRequestError",
    "Keys",
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

_MODULES = {
    "bundle": ("BundleError",),
    "client": ("Client", "Searches"),
    "dataset": ("Datasets",),
    "keys": ("Keys",),
    "search": ("Event", "Search", "SearchFailedError"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """The names above, imported when first used: `nasmith --help` opens no HTTP library."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"nasmith.{_MODULE_OF.get(name, 'errors')}"), name)
    globals()[name] = value
    return value
