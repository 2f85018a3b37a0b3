"""Content hashes: SHA-256, as hexadecimal digits."""

import hashlib
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray


def hash_content(*parts: bytes | memoryview | NDArray[Any]) -> str:
    """Return the SHA-256 of contents, one after the other; that of an array covers its dtype and shape."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype} {part.shape}".encode())
            digest.update(np.ascontiguousarray(part).data)
        else:
            digest.update(part)
    return digest.hexdigest()


def hash_file(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file's bytes, which need not fit in memory."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
