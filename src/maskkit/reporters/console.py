"""Reporter that prints tables."""

import rich
from sklearn.base import BaseEstimator

from maskkit._display.tables import stack_tables
from maskkit.reporters._base import Report


class ConsoleReporter(BaseEstimator):
    """Prints the tables to standard output, as wide as the terminal."""

    def report(self, evaluation: Report) -> None:
        """Print the tables."""
        rich.print(stack_tables(evaluation.tables()))
