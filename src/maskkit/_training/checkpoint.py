"""Checkpoints, from which an interrupted training resumes."""

import contextlib
import hashlib
import io
import os
import pickle
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from maskkit._files.atomic import hold_folder, write_file
from maskkit._images.load import ImageSource, name_source, read_content
from maskkit._images.prefetch import prefetch_map
from maskkit.exceptions import ModelFileError

CHECKPOINT_FILE = "checkpoint.pt"
LOCK_FILE = f"{CHECKPOINT_FILE}.lock"

VERSIONS = {f"version of {name}": version(name) for name in ("maskkit", "torch")}


class Checkpoint:
    """The state of one training, saved atomically in a folder.

    It is written by torch and read with ``weights_only=True``, so no code in it is executed. `purpose` holds everything
    that the trained model depends on, by the name used in errors. Of several processes, only the writer saves.
    """

    def __init__(self, folder: str | os.PathLike[str], purpose: Mapping[str, Any], *, is_writer: bool = True):
        self.file = Path(folder) / CHECKPOINT_FILE
        self.purpose = dict(purpose)
        self.is_writer = is_writer
        self.made_folder = False

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Keep other fits out of the folder during a training, and delete the checkpoint when that is finished.

        The folder is deleted, too, if it is empty and this fit, or the interrupted one that it resumes, made it.

        Raises OutputError if another fit holds the folder; ModelFileError if it cannot be written.
        """
        if not self.is_writer:
            yield
            return
        folder = self.file.parent
        if folder.exists() and not folder.is_dir():
            raise ModelFileError(f"{folder}: is a file; checkpoint wants a folder.")
        self.made_folder = not folder.exists()
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(hold_folder(folder / LOCK_FILE, str(folder)))
            except OSError as exc:
                raise _unwritable(self.file, exc) from exc
            try:
                yield
                self.file.unlink(missing_ok=True)
            finally:
                stack.close()
                with contextlib.suppress(OSError):  # It may hold files.
                    if self.made_folder:
                        folder.rmdir()

    def load(self, parts: Mapping[str, Any], device: torch.device) -> dict[str, Any] | None:
        """Restore the state of each part; return the rest of what was saved, or None if there is no checkpoint.

        Raises ModelFileError if the checkpoint belongs to another training or is damaged.
        """
        saved = _read(self.file)
        if saved is None:
            return None
        found = saved["purpose"]
        different = [name for name in {**found, **self.purpose} if found.get(name) != self.purpose.get(name)]
        if different:
            raise ModelFileError(
                f"{self.file}: is the checkpoint of another fit (other {', '.join(different)}); repeat that fit, "
                f"or delete the file to start again."
            )
        self.made_folder |= saved.get("made_folder", False)
        for name, part in parts.items():
            part.load_state_dict(saved["parts"][name])
        torch.set_rng_state(saved["random"]["cpu"])
        if device.type != "cpu":
            torch.get_device_module(device).set_rng_state(saved["random"][device.type], device)
        rest: dict[str, Any] = saved["rest"]
        return rest

    def save(self, parts: Mapping[str, Any], device: torch.device, **rest: Any) -> None:
        """Save the state of the parts, of the random number generators, and further values.

        Raises ModelFileError if it cannot be written.
        """
        if not self.is_writer:
            return
        random = {"cpu": torch.get_rng_state()}
        if device.type != "cpu":
            random[device.type] = torch.get_device_module(device).get_rng_state(device)
        states = {name: part.state_dict() for name, part in parts.items()}
        document: dict[str, Any] = {"purpose": self.purpose, "parts": states, "random": random, "rest": rest}
        document["made_folder"] = self.made_folder
        content = io.BytesIO()  # torch.save to a file would hide the reason of a failure.
        torch.save(document, content)
        try:
            write_file(self.file, content.getbuffer())
        except OSError as exc:
            raise _unwritable(self.file, exc) from exc


def find_seed(folder: str | os.PathLike[str]) -> int | None:
    """Return the seed of the training whose checkpoint is in a folder, or None."""
    saved = _read(Path(folder) / CHECKPOINT_FILE)
    return None if saved is None else int(saved["purpose"]["seed"])


def digest_images(sources: Sequence[ImageSource]) -> str:
    """Return a hash of the contents of images, without decoding them."""
    names = map(name_source, sources, range(len(sources)))
    digests = prefetch_map(lambda source, name: read_content(source, name=name)[1], sources, names)
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def _unwritable(file: Path, exc: OSError) -> ModelFileError:
    return ModelFileError(f"{file}: cannot be written ({exc.strerror or exc}).")


def _read(file: Path) -> dict[str, Any] | None:
    try:
        saved: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
        if not {"purpose", "parts", "random", "rest"} <= set(saved):
            raise ValueError("it has other content")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, RuntimeError, ValueError, TypeError, EOFError, pickle.UnpicklingError) as exc:
        # The rest of torch's message advises to load the file unsafely.
        reason = str(exc).partition("\n")[0].partition(". ")[0]
        raise ModelFileError(f"{file}: is not a readable checkpoint ({reason}); delete it to start again.") from exc
    return saved
