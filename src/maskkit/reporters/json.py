"""Reporter that writes JSON."""

import os
from pathlib import Path

from maskkit._text import to_json
from maskkit.reporters._base import Report
from maskkit.reporters._file import FileReporter


class JsonReporter(FileReporter):
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
        return self._write(to_json(evaluation.to_dict(), indent=2, allow_nan=False) + "\n")
