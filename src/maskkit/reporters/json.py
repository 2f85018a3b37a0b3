"""Everything in one JSON file."""

import json
import os
from pathlib import Path

from sklearn.base import BaseEstimator

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
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            text = json.dumps(evaluation.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
            # A file name that is not UTF-8 holds surrogates; as \udcXX they are JSON again.
            unfinished.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
        return path
