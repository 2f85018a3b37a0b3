"""Model folders: safetensors and JSON, never pickle."""

import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from maskkit._files.atomic import check_writable, is_document, write_folder
from maskkit._files.tensors import Shapes, read_shapes, read_tensors
from maskkit._images.hashing import hash_file
from maskkit._text import check_path, escape_text, to_json
from maskkit.exceptions import ModelFileError

FORMAT_VERSION = 1
CONFIG_FILE = "maskkit.json"
TENSOR_FILE = "model.safetensors"
CARD_FILE = "README.md"
INT8_FILES = ("int8.xml", "int8.bin")
# The options of maskkit train, for users; nothing reads them when a model is loaded.
OPTIONS_FILE = "train.toml"

# The history of ten thousand epochs takes 3 MB.
_MAX_CONFIG_BYTES = 50_000_000


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The description of a fitted model without its weights; each field is plain JSON.

    Backbone and detector are ``{"spec": ..., "params": {...}, "package": ...}``; the last is the package that provides
    the plugin, with its version.
    """

    classes: list[Any]
    backbone: dict[str, Any]
    head: dict[str, Any]
    preprocess: dict[str, Any]
    detector: dict[str, Any]
    params: dict[str, Any]
    training: dict[str, Any]


def write_model(
    folder: str | os.PathLike[str],
    config: ModelConfig,
    tensors: dict[str, torch.Tensor],
    *,
    half: bool,
    card: str,
    int8: tuple[bytes, bytes] | None = None,
) -> Path:
    """Write a model folder atomically; an earlier model of that name is replaced.

    With `half`, float32 is stored as float16: half the size, three significant digits. `card` is the model
    card in Markdown, `int8` the backbone in OpenVINO's format.

    Raises ModelFileError if the folder exists and is not a model, or cannot be written.
    """
    folder = check_path(folder, ModelFileError).resolve()
    check_target(folder)
    stored = {
        name: (tensor.half() if half and _fits_half(tensor) else tensor).contiguous().cpu()
        for name, tensor in tensors.items()
    }
    with write_folder(folder) as new:
        # safetensors' own save_file hides the system's reason if a file cannot be written.
        (new / TENSOR_FILE).write_bytes(safetensors.torch.save(stored))
        for name, content in zip(INT8_FILES, int8 or (), strict=False):
            (new / name).write_bytes(content)
        (new / CARD_FILE).write_bytes(escape_text(card, keep="\n").encode())
        # The checksum of the card is for information only: `read_model` does not check it, so it may be edited.
        files = {path.name: {"sha256": hash_file(path)} for path in sorted(new.iterdir(), key=lambda path: path.name)}
        document = {"format_version": FORMAT_VERSION, **asdict(config), "files": files}
        (new / CONFIG_FILE).write_bytes((to_json(document, indent=2) + "\n").encode())
    return folder


def check_target(folder: Path) -> None:
    """Raise ModelFileError if a model folder cannot be written, to be called before a long training run."""
    check_writable(
        folder,
        "model",
        is_ours=lambda folder: is_document(folder / CONFIG_FILE, ("format_version", "classes", "files")),
        files=(CONFIG_FILE, TENSOR_FILE, CARD_FILE, OPTIONS_FILE, *INT8_FILES),
    )


def _fits_half(tensor: torch.Tensor) -> bool:
    """Return whether a tensor fits float16; a running variance may be beyond its maximum of 65,504."""
    return tensor.dtype == torch.float32 and bool((tensor.abs() <= torch.finfo(torch.float16).max).all())


def read_model(
    folder: str | os.PathLike[str], check: Callable[[ModelConfig, Shapes], None]
) -> tuple[ModelConfig, dict[str, torch.Tensor], tuple[bytes, bytes] | None]:
    """Read and verify a model folder: description, weights in float32, and the backbone in int8 if saved.

    `check` gets the description and the shapes of the weights before any of them is read.

    Raises ModelFileError if a file is missing, damaged, changed, or of an unknown version.
    """
    folder = check_path(folder, ModelFileError)
    document = _read_document(folder / CONFIG_FILE)
    config = ModelConfig(**{name: document[name] for name in ModelConfig.__dataclass_fields__})
    names = [TENSOR_FILE, *(name for name in INT8_FILES if name in document["files"])]
    sizes = {name: _file_size(folder / name) for name in names}
    shapes = read_shapes(folder / TENSOR_FILE)
    if shapes is not None:
        check(config, shapes)
    for name in names:
        # A copy that was cut off, or weights from elsewhere, would otherwise predict nonsense without an error.
        _check_digest(folder / name, document["files"].get(name))
    try:
        stored = read_tensors(folder / TENSOR_FILE)
    except Exception as exc:  # The error type of safetensors is not public.
        raise ModelFileError(f"{folder / TENSOR_FILE}: is not a safetensors file ({exc}).") from exc
    tensors = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in stored.items()}
    if not all(tensor.isfinite().all() for tensor in tensors.values()):
        raise ModelFileError(f"{folder / TENSOR_FILE}: holds weights that are not finite; train the model again.")
    # Weights in int8 take less room than the same in another precision.
    max_bytes = sizes[TENSOR_FILE] + _MAX_CONFIG_BYTES
    int8 = tuple(_read_file(folder / name, max_bytes=max_bytes) for name in names[1:])
    if len(int8) == 1:
        raise ModelFileError(f"{folder}: lists only one of {' and '.join(INT8_FILES)}; save the model again.")
    return config, tensors, int8 or None  # type: ignore[return-value]


def _read_document(file: Path) -> dict[str, Any]:
    """Read the JSON of a model and check the fields and their types."""
    text = _read_file(file, max_bytes=_MAX_CONFIG_BYTES)
    try:
        document = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as exc:
        raise ModelFileError(f"{file}: cannot be read ({exc}); want the JSON that save() wrote.") from exc
    version = document.get("format_version") if isinstance(document, dict) else None
    if version != FORMAT_VERSION or isinstance(version, bool):
        raise ModelFileError(
            f"{file}: has format version {version!r}, this maskkit reads {FORMAT_VERSION}; "
            f"upgrade maskkit or save the model again."
        )
    kinds = {**dict.fromkeys(ModelConfig.__dataclass_fields__, dict), "classes": list, "files": dict}
    missing = [name for name in kinds if name not in document]
    if missing:
        raise ModelFileError(f"{file}: lacks {', '.join(missing)}; save the model again.")
    for name, kind in kinds.items():
        if not isinstance(document[name], kind):
            raise ModelFileError(
                f"{file}: {name} is a {type(document[name]).__name__}, want a {kind.__name__}; save the model again."
            )
    return document


def _file_size(file: Path) -> int:
    """Return the size of a regular file; a pipe is refused, because it might never end."""
    with _read_errors(file):
        status = file.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ModelFileError(f"{file}: is not a regular file; pass a folder that save() wrote.")
    return status.st_size


def _read_file(file: Path, *, max_bytes: int) -> bytes:
    size = _file_size(file)
    if size > max_bytes:
        raise ModelFileError(f"{file}: has {size:,} bytes, more than any model's ({max_bytes:,}).")
    with _read_errors(file):
        return file.read_bytes()


@contextmanager
def _read_errors(file: Path) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise ModelFileError(
            f"{file.parent}: is not a maskkit model ({file.name} is missing); "
            f"pass a folder that save() or maskkit train wrote."
        ) from exc
    except (OSError, ValueError) as exc:  # ValueError: a null character in the name
        raise ModelFileError(f"{file}: cannot be read ({exc}).") from exc


def _check_digest(file: Path, entry: Any) -> None:
    with _read_errors(file):
        sha256 = hash_file(file)
    wanted = entry.get("sha256") if isinstance(entry, dict) else None
    if sha256 != wanted:
        raise ModelFileError(
            f"{file}: is damaged or was changed (its SHA-256 is {sha256[:12]}..., "
            f"the saved one is {str(wanted)[:12]}...); copy the model again."
        )
