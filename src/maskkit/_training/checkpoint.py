"""What a training that was interrupted needs to go on."""

import contextlib
import hashlib
import io
import os
import pickle
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import torch

from maskkit._files.atomic import write_file
from maskkit._images.load import ImageSource, name_source, read_content
from maskkit._images.prefetch import prefetch_map
from maskkit.exceptions import ModelFileError

CHECKPOINT_FILE = "checkpoint.pt"

VERSIONS = {f"version of {name}": version(name) for name in ("maskkit", "torch")}


class Stateful(Protocol):
    """A network, an optimiser, a schedule: anything whose state can be taken and given back."""

    def state_dict(self) -> dict[str, Any]:
        """Give the state."""
        ...

    def load_state_dict(self, state: Any) -> Any:
        """Take a state back."""
        ...


class Checkpoint:
    """The state of one training in a folder, written whole or not at all.

    Written by torch and read with ``weights_only=True``: nothing in it is executed.

    Parameters
    ----------
    folder : path
        Made when first written.
    purpose : dict of str to str, int, float, bool or None
        Everything that the trained model depends on, by the name that an error gives it.
    is_writer : bool
        Only one of several processes writes.
    """

    def __init__(self, folder: str | os.PathLike[str], purpose: Mapping[str, Any], *, is_writer: bool = True):
        self.file = Path(folder) / CHECKPOINT_FILE
        self.purpose = dict(purpose)
        self.is_writer = is_writer

    def load(self, parts: Mapping[str, Stateful], device: torch.device) -> dict[str, Any] | None:
        """Give each part the state that was saved; give the rest of what was saved.

        Returns
        -------
        rest : dict or None
            None if there is no checkpoint.

        Raises
        ------
        ModelFileError
            If the checkpoint is another training's, or damaged.
        """
        saved = _read(self.file)
        if saved is None:
            return None
        there = saved["purpose"]
        apart = [name for name in {**there, **self.purpose} if there.get(name) != self.purpose.get(name)]
        if apart:
            raise ModelFileError(
                f"{self.file}: is the checkpoint of another fit (other {', '.join(apart)}); call fit as it was, "
                f"or delete the file to start anew."
            )
        for name, part in parts.items():
            part.load_state_dict(saved["parts"][name])
        torch.set_rng_state(saved["random"]["cpu"])
        if device.type != "cpu":
            torch.get_device_module(device).set_rng_state(saved["random"][device.type], device)
        rest: dict[str, Any] = saved["rest"]
        return rest

    def save(self, parts: Mapping[str, Stateful], device: torch.device, **rest: Any) -> None:
        """Write the state of the parts, of the random numbers and whatever else is given.

        Raises
        ------
        ModelFileError
            If it cannot be written.
        """
        if not self.is_writer:
            return
        random = {"cpu": torch.get_rng_state()}
        if device.type != "cpu":
            random[device.type] = torch.get_device_module(device).get_rng_state(device)
        states = {name: part.state_dict() for name, part in parts.items()}
        document = {"purpose": self.purpose, "parts": states, "random": random, "rest": rest}
        content = io.BytesIO()  # torch's own way to a file hides from us why the system refuses it
        torch.save(document, content)
        try:
            write_file(self.file, content.getbuffer())
        except OSError as exc:
            raise ModelFileError(f"{self.file}: cannot be written ({exc.strerror or exc}).") from exc

    def remove(self) -> None:
        """Take away what a finished training needs no more; the folder too if nothing else is in it."""
        if self.is_writer:
            self.file.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                self.file.parent.rmdir()


def find_seed(folder: str | os.PathLike[str]) -> int | None:
    """Give the seed of the training whose checkpoint lies in a folder; None if none does."""
    saved = _read(Path(folder) / CHECKPOINT_FILE)
    return None if saved is None else int(saved["purpose"]["seed"])


def digest_images(sources: Sequence[ImageSource]) -> str:
    """Tell the contents of images from all others; reads each file once, decodes none."""

    def digest_one(item: tuple[int, ImageSource]) -> str:
        row, source = item
        return read_content(source, name=name_source(source, row))[1]

    whole = hashlib.sha256()
    for digest in prefetch_map(digest_one, enumerate(sources)):
        whole.update(digest.encode())
    return whole.hexdigest()


def _read(file: Path) -> dict[str, Any] | None:
    try:
        saved: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
        if not {"purpose", "parts", "random", "rest"} <= set(saved):
            raise ValueError("it holds something else")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, RuntimeError, ValueError, TypeError, EOFError, pickle.UnpicklingError) as exc:
        # torch's message goes on to advise reading it unsafely.
        reason = str(exc).partition("\n")[0].partition(". ")[0]
        raise ModelFileError(f"{file}: is no checkpoint that can be read ({reason}); delete it to start anew.") from exc
    return saved
