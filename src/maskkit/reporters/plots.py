"""Pictures as PNG files."""

import os
from pathlib import Path

from sklearn.base import BaseEstimator

from maskkit._display.charts import save_figure
from maskkit.reporters._base import Report


class PlotsReporter(BaseEstimator):
    """Writes the figures of an evaluation as PNG files without metadata.

    Of crops: ``confusion_matrix``, ``roc``, ``reliability``, ``risk_coverage``, ``slices``,
    ``worst_mistakes``. Of several data sets: ``comparison``, and those of each.
    Of photos: ``by_size``, ``precision_recall``. Of robustness: ``robustness``.

    Parameters
    ----------
    folder : str or Path, default="plots"
        Made if need be; pictures of an earlier report in it are replaced.
    """

    def __init__(self, folder: str | os.PathLike[str] = "plots"):
        self.folder = folder

    def report(self, evaluation: Report) -> Path:
        """Write the pictures and give their folder."""
        folder = Path(self.folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name, figure in evaluation.figures().items():
            save_figure(figure, folder / f"{name}.png")
        return folder
