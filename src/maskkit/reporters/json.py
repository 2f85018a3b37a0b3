"""Reporter that writes JSON."""

import os
from pathlib import Path

from sklearn.base import BaseEstimator

from maskkit._files.outputs import check_new, create_numbered
from maskkit._text import check_path, to_json
from maskkit.exceptions import OutputError
from maskkit.reporters._base import Report


class JsonReporter(BaseEstimator):
    """Writes the whole evaluation to a JSON file.

    Parameters
    ----------
    path : str or Path, default="report.json"
        Path of the file, which is written atomically and must not exist. Its folder is created if missing.
    """

    def __init__(self, path: str | os.PathLike[str] = "report.json"):
        self.path = path

    def report(self, evaluation: Report) -> Path:
        """Write the file and return its path, with a number if the name is taken meanwhile."""
        content = (to_json(evaluation.to_dict(), indent=2, allow_nan=False) + "\n").encode()
        path = check_path(self.path, OutputError)
        (written,) = create_numbered(path.parent, {(path.stem, path.suffix): content}, sync=True)
        return written

    def check_target(self) -> None:
        """Raise OutputError if the file exists, before anything is evaluated."""
        check_new(self.path)
