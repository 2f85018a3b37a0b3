"""Progress of training on standard error."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, Self

from maskkit._display.tables import format_cell, stack_tables
from maskkit._training.history import History, tabulate_epoch

# In lines of text, the confusion matrix of more classes would be too long.
_MAX_CLASSES_IN_LINES = 4


@dataclass(eq=False)
class TrainingProgress:
    """A progress bar on terminals; elsewhere a line or two per epoch, or those of ten epochs if there are many.

    With validation images, terminals show below the bar the confusion matrix of the last epoch, and precision and
    recall of each class. At the end, these are printed with their intervals.

    It is written to standard error, so that standard output contains results only. There are `n_items` per epoch, and
    an earlier run has finished `n_epochs_done`. `unit` is what the speed counts: a head is trained on feature vectors
    that were computed before, not on images. With ``verbose=0`` nothing is written.
    """

    n_epochs: int
    n_items: int
    verbose: int
    n_epochs_done: int = 0
    unit: str = "images"
    classes: list[Any] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._start = time.perf_counter()
        self._bar: Any = None
        self._last: dict[str, Any] | None = None
        self._result: Any = None
        if self.verbose:
            from rich.console import Console

            self._console = Console(stderr=True)
            if self.n_epochs_done:
                self._console.print(f"Resuming after epoch {self.n_epochs_done} of {self.n_epochs}.", highlight=False)
            # Without ipywidgets, a notebook can show lines, but no bar that moves.
            if self._console.is_terminal or (self._console.is_jupyter and find_spec("ipywidgets") is not None):
                self._bar = self._make_bar()
                self._bar.start()
                self._task = self._bar.add_task(
                    "", total=self.n_epochs * self.n_items, epoch=1, loss=float("nan"), accuracy=0.0, rate=0.0
                )
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._print_last()
        if self._result is not None:
            self._console.print(self._result)

    def advance(self, epoch: int, n_done: int, loss: float, accuracy: float) -> None:
        """Show the state after `n_done` items of an epoch (counted from 1)."""
        if self._bar is not None:
            done = (epoch - 1) * self.n_items + n_done
            rate = (done - self.n_epochs_done * self.n_items) / (time.perf_counter() - self._start)
            self._bar.update(self._task, completed=done, epoch=epoch, loss=loss, accuracy=accuracy, rate=rate)

    def finish_epoch(self, record: dict[str, Any]) -> None:
        """Show the validation below the bar. Without a bar, print the epoch; of many epochs, ten and the last."""
        self._last = record
        if self._bar is not None and "validation_confusion" in record:
            self._bar.below = stack_tables(tabulate_epoch(record, self.classes, intervals=False))
        if record["epoch"] % math.ceil(self.n_epochs / 10) == 0:
            self._print_last()

    def finish(self, history: History) -> None:
        """Print the validation of the final model at the end, in place of that of the last epoch."""
        tables = history.tables()
        if self.verbose and tables:
            self._result = stack_tables(tables)
            if self._bar is not None:
                self._bar.below = None

    def _print_last(self) -> None:
        record, self._last = self._last, None
        if record is not None and self.verbose and self._bar is None:
            held_out = ""
            if "validation_loss" in record:
                held_out = (
                    f"  validation loss {record['validation_loss']:.4f}"
                    f"  validation accuracy {record['validation_accuracy']:.4f}"
                )
            self._console.print(
                f"epoch {record['epoch']:.0f}/{self.n_epochs}  loss {record['loss']:.4f}"
                f"  accuracy {record['accuracy']:.4f}{held_out}  {record['images_per_second']:.0f} {self.unit}/s",
                highlight=False,
                soft_wrap=True,
            )
            if len(record.get("validation_confusion", ())) in range(1, _MAX_CLASSES_IN_LINES + 1):
                scores = "  ".join(
                    f"{name} {', '.join(map(format_cell, record[f'validation_{name}']))}"
                    for name in ("precision", "recall")
                )
                confusion = record["validation_confusion"]
                self._console.print(f"  validation confusion {confusion}  {scores}", highlight=False, soft_wrap=True)

    def _make_bar(self) -> Any:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        class Monitor(Progress):
            below: Any = None

            def get_renderables(self) -> Iterator[Any]:
                yield from super().get_renderables()
                if self.below is not None:
                    yield self.below

        return Monitor(
            TextColumn("epoch {task.fields[epoch]}/" + str(self.n_epochs)),
            BarColumn(bar_width=20),
            TextColumn("loss {task.fields[loss]:.3f}  accuracy {task.fields[accuracy]:.3f}"),
            TextColumn("{task.fields[rate]:.0f} " + f"{self.unit}/s"),
            TimeRemainingColumn(compact=True),
            console=self._console,
            refresh_per_second=4,
        )
