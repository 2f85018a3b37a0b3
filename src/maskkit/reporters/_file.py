"""Base class of reporters that write one file."""

import os
from pathlib import Path

from sklearn.base import BaseEstimator

from maskkit._files.outputs import check_new, create_numbered
from maskkit._text import check_path
from maskkit.exceptions import OutputError


class FileReporter(BaseEstimator):
    """A reporter with the parameter `path`, a file that must not exist."""

    path: str | os.PathLike[str]

    def check_target(self) -> None:
        """Raise OutputError if the file exists, before anything is evaluated."""
        check_new(self.path)

    def _write(self, text: str) -> Path:
        """Write the file and return its path, with a number if the name is taken meanwhile."""
        path = check_path(self.path, OutputError)
        (written,) = create_numbered(path.parent, {(path.stem, path.suffix): text.encode()}, sync=True)
        return written
