"""Reporter for TensorBoard."""

import math
import os
from pathlib import Path

# Named so that a missing package is missed here, not deep inside torch.
import tensorboard  # noqa: F401
from sklearn.base import BaseEstimator
from torch.utils.tensorboard import SummaryWriter

from maskkit._files.outputs import check_output_folder
from maskkit._text import escape_text
from maskkit.reporters._base import Report


class TensorBoardReporter(BaseEstimator):
    """Writes metrics and plots for ``tensorboard --logdir runs``; needs the extra ``tensorboard``.

    Metrics that are NaN, such as the recall of a class without faces, are left out.

    Parameters
    ----------
    log_dir : str or Path, default="runs"
        Folder of the event files.
    step : int, default=0
        Step of the metrics on the horizontal axis of TensorBoard.
    """

    def __init__(self, log_dir: str | os.PathLike[str] = "runs", step: int = 0):
        self.log_dir = log_dir
        self.step = step

    def report(self, evaluation: Report) -> Path:
        """Write an event file and return its folder."""
        folder = check_output_folder(self.log_dir)
        with SummaryWriter(os.fspath(folder)) as writer:
            for name, estimate in evaluation.metrics().items():
                if not math.isnan(estimate.value):
                    for end in ("value", "low", "high"):
                        writer.add_scalar(escape_text(f"{name}/{end}"), getattr(estimate, end), self.step)
            for name, figure in evaluation.figures().items():
                writer.add_figure(escape_text(name), figure, self.step)
        return folder
