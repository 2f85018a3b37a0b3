"""Everything in one JSON file."""

import json
import os
from pathlib import Path

from sklearn.base import BaseEstimator

from maskkit._files.atomic import write_file
from maskkit.reporters._base import Report


class JsonReporter(BaseEstimator):
    """Writes everything that an evaluation holds as JSON.

    Parameters
    ----------
    path : str or Path, default="report.json"
        Written whole or not at all; its folder is made.
    """

    def __init__(self, path: str | os.PathLike[str] = "report.json"):
        self.path = path

    def report(self, evaluation: Report) -> Path:
        """Write the file and give its path."""
        path = Path(self.path)
        text = json.dumps(evaluation.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        # A file name that is not UTF-8 holds surrogates; as \udcXX it is JSON again.
        write_file(path, text.encode("utf-8", errors="backslashreplace"))
        return path
