"""Exceptions of maskkit.

    MaskkitError
    ├── ImageError       an image cannot be read (also a ValueError)
    ├── VideoError       a video, camera or stream cannot be opened or written (also a ValueError)
    ├── DataError        a data set is incomplete or not valid (also a ValueError)
    ├── WeightsError     weights cannot be found or loaded (also a RuntimeError)
    ├── EngineError      an engine is not installed or cannot run the network (also a RuntimeError)
    ├── MissingLibraryError  an optional library is not installed (also an ImportError)
    ├── PluginError      a plugin is unknown, fails to load or breaks its contract (also a LookupError)
    ├── NotFiniteError   training diverged, or a model predicts NaN (also a ValueError)
    ├── ModelFileError   a saved model or checkpoint is damaged or cannot be written (also a ValueError)
    └── OutputError      a file cannot be written, as its path is empty or taken (also a ValueError)

Wrong arguments raise plain ``ValueError`` and ``TypeError``; an unfitted model raises
scikit-learn's ``NotFittedError``.
"""

from typing import Any

from maskkit._text import escape_text

__all__ = [
    "MaskkitError",
    "ImageError",
    "VideoError",
    "DataError",
    "WeightsError",
    "EngineError",
    "MissingLibraryError",
    "PluginError",
    "NotFiniteError",
    "ModelFileError",
    "ImageWarning",
    "OutputError",
    "SinkWarning",
    "SkippedImageWarning",
]


class MaskkitError(Exception):
    """Base class of all errors of maskkit."""

    def __str__(self) -> str:
        # A message names files, and a file name may hold commands for the terminal.
        return escape_text(super().__str__(), keep="\n")


class ImageError(MaskkitError, ValueError):
    """An image cannot be read; the message names it."""


class VideoError(MaskkitError, ValueError):
    """A video, camera or stream cannot be opened, or a video cannot be written; the message names it."""


class DataError(MaskkitError, ValueError):
    """A data set is incomplete or not valid; the message names the folder or file."""


class WeightsError(MaskkitError, RuntimeError):
    """Weights cannot be found, downloaded or loaded, or do not fit the network."""


class EngineError(MaskkitError, RuntimeError):
    """An engine is not installed or cannot run the network."""


class MissingLibraryError(MaskkitError, ImportError):
    """An optional library is not installed; the message names the extra that installs it."""


class PluginError(MaskkitError, LookupError):
    """A plugin is unknown, fails to load or breaks its contract; the message names it.

    Attributes
    ----------
    evaluation : object or None
        The evaluation, if a reporter of `evaluate` failed, so that it is not lost.
    """

    evaluation: Any = None


class NotFiniteError(MaskkitError, ValueError):
    """Training ended in NaN or infinity, or a fitted model predicts them; the message says what to change."""


class ModelFileError(MaskkitError, ValueError):
    """A saved model or a checkpoint is damaged, cannot be written or does not fit; the message names the file."""


class ImageWarning(UserWarning):
    """An image was read, but not all of it, or with an assumption; the message names the image and says which."""


class OutputError(MaskkitError, ValueError):
    """A file cannot be written: its path is empty, a folder, or taken, and no file is ever replaced."""


class SinkWarning(UserWarning):
    """Events of a video do not reach a sink, do so again or were lost; the message names the sink and counts them."""


class SkippedImageWarning(UserWarning):
    """Images were skipped because of ``on_error="skip"``; the message counts and names them."""
