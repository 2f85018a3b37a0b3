"""Reporter that writes plots."""

import os
from pathlib import Path

from sklearn.base import BaseEstimator

from maskkit._display.charts import encode_figure
from maskkit._files.outputs import check_output_folder, create_numbered
from maskkit.reporters._base import Report


class PlotsReporter(BaseEstimator):
    """Writes the plots of an evaluation as PNG files without metadata.

    An evaluation of crops has the plots ``confusion_matrix``, ``roc``, ``reliability``, ``risk_coverage``,
    ``slices`` and ``worst_mistakes``; one of photos ``by_size`` and ``precision_recall``; one of robustness
    ``robustness``; a comparison of data sets ``comparison`` and the plots of each data set.

    Parameters
    ----------
    folder : str or Path, default="plots"
        Folder of the files, created if missing. No file is replaced: if it contains plots of an earlier report, the new
        ones get a number, as in ``roc-2.png``.
    """

    def __init__(self, folder: str | os.PathLike[str] = "plots"):
        self.folder = folder

    def report(self, evaluation: Report) -> Path:
        """Write the plots and return their folder."""
        folder = check_output_folder(self.folder)
        create_numbered(
            folder, {(name, ".png"): encode_figure(figure) for name, figure in evaluation.figures().items()}
        )
        return folder

    def check_target(self) -> None:
        """Raise OutputError if the folder is a file, before anything is evaluated."""
        check_output_folder(self.folder)
