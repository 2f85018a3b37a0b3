"""Reporter that writes plots."""

import os
from pathlib import Path

from sklearn.base import BaseEstimator

from maskkit._display.charts import save_figure
from maskkit.reporters._base import Report


class PlotsReporter(BaseEstimator):
    """Writes the plots of an evaluation as PNG files without metadata.

    An evaluation of crops has the plots ``confusion_matrix``, ``roc``, ``reliability``, ``risk_coverage``,
    ``slices`` and ``worst_mistakes``; one of photos ``by_size`` and ``precision_recall``; one of robustness
    ``robustness``; a comparison of data sets ``comparison`` and the plots of each data set.

    Parameters
    ----------
    folder : str or Path, default="plots"
        Folder of the files, created if missing. Plots of an earlier report in it are replaced.
    """

    def __init__(self, folder: str | os.PathLike[str] = "plots"):
        self.folder = folder

    def report(self, evaluation: Report) -> Path:
        """Write the plots and return their folder."""
        folder = Path(self.folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name, figure in evaluation.figures().items():
            save_figure(figure, folder / f"{name}.png")
        return folder
