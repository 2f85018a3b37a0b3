"""Interface of a reporter."""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypeVar

from maskkit import _plugins
from maskkit._display.tables import Estimate as Estimate, Table as Table
from maskkit.exceptions import PluginError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


Value = TypeVar("Value")

EpochRecord: TypeAlias = dict[str, Any]
"""A record of `history_`, with the classes of the model as ``"classes"`` and the number of epochs as ``"epochs"``."""

_CALLBACK_METHODS = ("report_epoch", "report_images")


class Report(Protocol):
    """The methods of an evaluation that reporters use."""

    def metrics(self) -> dict[str, Estimate]:
        """Return all metrics by name, such as ``"accuracy"`` or ``"recall/with_mask"``."""
        ...

    def tables(self) -> Sequence[Table]:
        """Return the metrics as tables."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values that JSON can hold."""
        ...

    def figures(self, *, blur: bool = False) -> dict[str, "Figure"]:
        """Draw plots, as matplotlib figures by name; with `blur`, faces in them are unrecognizable."""
        ...


class Reporter(Protocol):
    """Sends an evaluation to a terminal, a file, a plot or an experiment tracker.

    A reporter may also have a method ``report_epoch(record)``. It is then a callback of training, which calls it after
    each epoch with the record of that epoch: see the parameter `callbacks` of `MaskClassifier`. A callback may also
    have a method ``report_images(images, labels)``, which gets, before the first epoch, some of the images that are
    trained on, uint8 (n, S, S, 3) RGB, as augmentation left them, and their labels.
    """

    def report(self, evaluation: Report) -> Path | None:
        """Report an evaluation; return the file or folder that was written, if any."""
        ...


def resolve_reporters(reporters: str | Reporter | Iterable[str | Reporter]) -> list[Reporter]:
    """Return reporters that are passed as names or instances, one or several.

    Raises PluginError if a name is unknown or its plugin cannot be loaded, and OutputError if a reporter that has the
    method `check_target` finds that it could not write.
    """
    given = [reporters] if isinstance(reporters, str) or hasattr(reporters, "report") else list(reporters)
    resolved: list[Reporter] = [_plugins.resolve("reporters", reporter) for reporter in given]
    for reporter in resolved:
        getattr(reporter, "check_target", lambda: None)()
    return resolved


def report_to(reporters: Iterable[Reporter], evaluation: Report) -> list[Path]:
    """Pass an evaluation to reporters, to each of them even if others fail.

    Returns the files and folders that were written. Raises PluginError if some fail, after all have been called; its
    attribute `evaluation` is the evaluation.
    """
    calls = [(reporter, "report()", partial(call_reporter, reporter, evaluation)) for reporter in reporters]
    return [path for path in _call_each("reporters", calls, evaluation) if path is not None]


def call_reporter(reporter: Reporter, evaluation: Report) -> Path | None:
    """Return what `report` returns; raise PluginError if it is neither None nor the path of what was written."""
    written: Any = reporter.report(evaluation)
    if written is not None and not (isinstance(written, Path) and written.exists()):
        raise PluginError(
            f"reporter {type(reporter).__name__}: report() returned {written!r}; want None or the Path of what was "
            f"written."
        )
    return written


def resolve_callbacks(callbacks: Any) -> list[Any]:
    """Return callbacks of training that are passed as callables, reporters or names of reporters, one or several.

    Raises PluginError if one of them is nothing that can be called after an epoch, or a name is unknown.
    """
    is_single = isinstance(callbacks, str) or callable(callbacks) or not isinstance(callbacks, Iterable)
    resolved = [] if callbacks is None else [callbacks] if is_single else list(callbacks)
    for index, callback in enumerate(resolved):
        if isinstance(callback, str):
            resolved[index] = _plugins.load("reporters", callback)
        is_callback = callable(callback) or any(hasattr(resolved[index], name) for name in _CALLBACK_METHODS)
        if isinstance(callback, type) or not is_callback:
            raise PluginError(
                f"callback {callback!r} cannot be called in training; want the name of a reporter that can, such as "
                f"'tensorboard' or 'mlflow', an instance with report_epoch() or report_images(), or a function of the "
                f"record of an epoch."
            )
    return resolved


def report_epoch_to(callbacks: Iterable[Any], record: EpochRecord) -> None:
    """Pass the record of an epoch to callbacks, to each of them even if others fail.

    Raises PluginError if some fail, after all have been called.
    """
    calls: list[tuple[Any, str, Callable[[], object]]] = []
    for callback in callbacks:
        # Each gets a copy, because a change would end up in the history of the model.
        if hasattr(callback, "report_epoch"):
            calls.append((callback, "report_epoch()", partial(callback.report_epoch, copy.deepcopy(record))))
        elif callable(callback):
            name = getattr(callback, "__qualname__", type(callback).__name__)
            calls.append((name, "the call", partial(callback, copy.deepcopy(record))))
    _call_each("callbacks", calls)


def report_images_to(callbacks: Iterable[Any], images: Any, labels: Sequence[Any]) -> None:
    """Pass images and labels to the callbacks that take them; raise PluginError if some fail."""
    _call_each(
        "callbacks",
        [
            (callback, "report_images()", partial(callback.report_images, images.copy(), list(labels)))
            for callback in callbacks
        ],
    )


def epoch_metrics(record: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a record by name, such as ``"validation_recall/with_mask"``; undefined ones are left out.

    Those of the validation images are followed by the means over classes of precision and recall.
    """
    metrics = {name: value for name, value in record.items() if isinstance(value, float) and name != "epoch"}
    for name in ("validation_precision", "validation_recall"):
        of_classes = dict(zip(record["classes"], record.get(name, ()), strict=False))
        known = {f"{name}/{label}": value for label, value in of_classes.items() if value is not None}
        metrics |= known | ({f"{name}_mean": sum(known.values()) / len(known)} if known else {})
    return metrics


def _call_each(
    group: Literal["reporters", "callbacks"],
    calls: Iterable[tuple[Any, str, Callable[[], Value]]],
    evaluation: Any = None,
) -> list[Value]:
    """Make all calls of plugins, also if some fail; return their values, or raise the first error.

    The other errors are its notes, and `evaluation` is its attribute.
    """
    values: list[Value] = []
    failed: list[PluginError] = []
    for plugin, action, call in calls:
        try:
            with _plugins.plugin_errors(group, plugin, action):
                values.append(call())
        except PluginError as exc:
            failed.append(exc)
    if failed:
        for other in failed[1:]:
            failed[0].add_note(str(other))
        failed[0].evaluation = evaluation
        raise failed[0]
    return values
