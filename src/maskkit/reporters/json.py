"""Reporter that writes JSON."""

import json
import os
from pathlib import Path

from sklearn.base import BaseEstimator

from maskkit._files.atomic import write_file
from maskkit.reporters._base import Report


class JsonReporter(BaseEstimator):
    """Writes the whole evaluation to a JSON file.

    Parameters
    ----------
    path : str or Path, default="report.json"
        Path of the file, which is written atomically. Its folder is created if missing.
    """

    def __init__(self, path: str | os.PathLike[str] = "report.json"):
        self.path = path

    def report(self, evaluation: Report) -> Path:
        """Write the file and return its path."""
        path = Path(self.path)
        text = json.dumps(evaluation.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        # A file name that is not UTF-8 contains surrogates, which JSON can hold only as \udcXX.
        write_file(path, text.encode("utf-8", errors="backslashreplace"))
        return path
