"""A safetensors file that proves itself whole: named tensors, and a JSON document about them.

The header's `__metadata__` has one entry, `nasmith`: canonical JSON of the document with
`content_sha256`. That is the SHA-256 of the whole file with its own 64 digits replaced by zeros, so
any changed bit is found. Nothing is pickled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as parse_tensors
from safetensors.torch import save as format_tensors
from torch import Tensor

from models.architecture import canonical_json
from models.storage import StoredFile, read_file, write_file

_NO_DIGEST = "0" * 64


class CheckpointError(ValueError):
    """The file is no checkpoint, or not the one that was written."""


def dense(tensor: Tensor) -> Tensor:
    """A copy on the CPU, row-major and of its own, as the file wants it."""
    return tensor.detach().cpu().contiguous().clone()


def write_tensors(
    url: str, tensors: Mapping[str, Tensor], document: Mapping[str, Any]
) -> StoredFile:
    """Write the file whole or not at all (`models.storage.write_file`). Tensors are `dense`."""
    header = canonical_json({**document, "content_sha256": _NO_DIGEST})
    content = format_tensors(dict(tensors), {"nasmith": header})
    return write_file(url, _with_digest(content, hashlib.sha256(content).hexdigest()))


def read_tensors(url: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the document.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: a byte of it is not as it was written, or it is no such file.
    """
    content = read_file(url)
    try:
        document: dict[str, Any] = json.loads(_header(content)["__metadata__"]["nasmith"])
        digest = document.pop("content_sha256")
        if hashlib.sha256(_with_digest(content, _NO_DIGEST, old=digest)).hexdigest() != digest:
            raise CheckpointError(f"{url} is damaged: its content does not match its SHA-256")
        return parse_tensors(content), document
    except CheckpointError:
        raise
    except (KeyError, TypeError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"{url} is no whole checkpoint: {error!r}") from None


def _header(content: bytes) -> dict[str, Any]:
    """The JSON after the eight bytes of its length (the format of safetensors)."""
    end = 8 + int.from_bytes(content[:8], "little")
    if not 8 < end <= len(content):
        raise ValueError(f"a header of {end - 8} bytes in a file of {len(content)}")
    header: dict[str, Any] = json.loads(content[8:end])
    return header


def _with_digest(content: bytes, new: str, old: str = _NO_DIGEST) -> bytes:
    """`content` with its digest exchanged. The quotes are escaped: JSON inside of JSON."""
    before, after = (rf"\"content_sha256\":\"{digest}\"".encode() for digest in (old, new))
    if content.count(before) != 1:
        raise ValueError("the digest's place is not unique")
    return content.replace(before, after)
