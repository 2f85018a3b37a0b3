"""Tables on the terminal."""

import rich
from sklearn.base import BaseEstimator

from maskkit._display.tables import to_rich
from maskkit.reporters._base import Report


class ConsoleReporter(BaseEstimator):
    """Prints the tables to standard output, 80 columns wide at most."""

    def report(self, evaluation: Report) -> None:
        """Print the tables."""
        for table in evaluation.tables():
            rich.print(to_rich(table))
            if table.note:
                rich.print()
