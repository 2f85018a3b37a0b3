"""Reporter for TensorBoard."""

import math
import os
from pathlib import Path

# Named so that a missing package is missed here, not deep inside torch.
import tensorboard  # noqa: F401
from sklearn.base import BaseEstimator
from torch.utils.tensorboard import SummaryWriter

from maskkit._display.tables import Table, to_markdown
from maskkit._files.outputs import check_output_folder
from maskkit._text import escape_text
from maskkit.reporters._base import EpochRecord, Report, epoch_metrics


class TensorBoardReporter(BaseEstimator):
    """Writes metrics and plots for ``tensorboard --logdir runs``; needs the extra ``tensorboard``.

    Metrics that are NaN, such as the recall of a class without faces, are left out. As a callback of training, it
    writes the metrics of each epoch, and the confusion matrix of the validation images as text. The events of a second
    training in the same folder are added to those of the first, so use a folder per training.

    Parameters
    ----------
    log_dir : str or Path, default="runs"
        Folder of the event files.
    step : int, default=0
        Step of an evaluation on the horizontal axis of TensorBoard; that of an epoch is its number.
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

    def report_epoch(self, record: EpochRecord) -> None:
        """Write an event file with the metrics of an epoch."""
        epoch = int(record["epoch"])
        with SummaryWriter(os.fspath(check_output_folder(self.log_dir))) as writer:
            for name, value in epoch_metrics(record).items():
                writer.add_scalar(escape_text(name), value, epoch)
            if "validation_confusion" in record:
                writer.add_text("validation_confusion", _format_confusion(record), epoch)


def _format_confusion(record: EpochRecord) -> str:
    """Return the confusion matrix as a table in Markdown."""
    names = list(map(str, record["classes"]))
    rows = tuple((name, *row) for name, row in zip(names, record["validation_confusion"], strict=True))
    return to_markdown(Table("", ("true \\ predicted", *names), rows))
