"""Saved models: a folder of safetensors and JSON, never pickle."""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from maskkit._whole_folder import check_place, write_whole
from maskkit.exceptions import ModelFileError

FORMAT_VERSION = 1
CONFIG_FILE = "maskkit.json"
TENSOR_FILE = "model.safetensors"
CARD_FILE = "README.md"
INT8_FILES = ("int8.xml", "int8.bin")


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Everything about a fitted model but its weights; each field is plain JSON.

    Attributes
    ----------
    classes : list of str or int
    backbone, detector : dict
        ``{"spec": ..., "params": {...}}``.
    head : dict
        Parameters of the TransferHead.
    preprocess : dict
        `image_size`, `mean`, `std`.
    params : dict
        Parameters of the MaskClassifier, to fit alike again.
    training : dict
        What the model was trained on and how it went.
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
    """Write a model folder: whole under its name, or not at all.

    Parameters
    ----------
    folder : path
        Made, or replaced if it is a model of maskkit.
    config : ModelConfig
    tensors : dict of str to Tensor
    half : bool
        Store float32 as float16: half the size, three significant digits.
    card : str
        The model card, Markdown.
    int8 : tuple of bytes, optional
        The backbone in int8, in OpenVINO's format.

    Returns
    -------
    folder : Path

    Raises
    ------
    ModelFileError
        If the folder exists and is something else, or cannot be written.
    """
    folder = Path(folder).resolve()
    check_target(folder)
    with write_whole(folder) as new:
        _fill_folder(new, config, tensors, half=half, card=card, int8=int8)
    return folder


def check_target(folder: Path) -> None:
    """Check that a model can be written under a name, which a training of hours had better know before.

    Raises
    ------
    ModelFileError
        If the folder is something else than a model, or cannot be made.
    """
    check_place(
        folder,
        "model",
        is_ours=lambda folder: (folder / CONFIG_FILE).is_file(),
        files=(CONFIG_FILE, TENSOR_FILE, CARD_FILE, *INT8_FILES),
    )


def _fill_folder(
    folder: Path,
    config: ModelConfig,
    tensors: dict[str, torch.Tensor],
    *,
    half: bool,
    card: str,
    int8: tuple[bytes, bytes] | None,
) -> None:
    stored = {
        name: (tensor.half() if half and tensor.dtype == torch.float32 else tensor).contiguous().cpu()
        for name, tensor in tensors.items()
    }
    safetensors.torch.save_file(stored, folder / TENSOR_FILE)
    for name, content in zip(INT8_FILES, int8 or (), strict=False):
        (folder / name).write_bytes(content)
    files = {
        path.name: {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for path in sorted(folder.iterdir(), key=lambda path: path.name)
    }
    document = {"format_version": FORMAT_VERSION, **asdict(config), "files": files}
    (folder / CONFIG_FILE).write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / CARD_FILE).write_text(card, encoding="utf-8")


def read_model(
    folder: str | os.PathLike[str],
) -> tuple[ModelConfig, dict[str, torch.Tensor], tuple[bytes, bytes] | None]:
    """Read a model folder and check it.

    Returns
    -------
    config : ModelConfig
    tensors : dict of str to Tensor
        Float16 is widened to float32.
    int8 : tuple of bytes or None
        The backbone in int8, if it was saved.

    Raises
    ------
    ModelFileError
        If a file is missing, damaged, of an unknown version, or not the one that was saved.
    """
    folder = Path(folder)
    try:
        document = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        contents = {TENSOR_FILE: (folder / TENSOR_FILE).read_bytes()}
        if isinstance(document, dict) and INT8_FILES[0] in document.get("files", {}):
            contents |= {name: (folder / name).read_bytes() for name in INT8_FILES}
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise ModelFileError(
            f"{folder}: is no model of maskkit ({Path(exc.filename).name} is missing); pass a folder that save() wrote."
        ) from exc
    except (OSError, ValueError) as exc:
        raise ModelFileError(f"{folder}: cannot be read ({exc}).") from exc
    version = document.get("format_version") if isinstance(document, dict) else None
    if version != FORMAT_VERSION:
        raise ModelFileError(
            f"{folder / CONFIG_FILE}: has format version {version!r}, this maskkit reads {FORMAT_VERSION}; "
            f"upgrade maskkit or save the model again."
        )
    fields = ModelConfig.__dataclass_fields__
    missing = [name for name in (*fields, "files") if name not in document]
    if missing:
        raise ModelFileError(f"{folder / CONFIG_FILE}: lacks {', '.join(missing)}; save the model again.")
    for name, data in contents.items():
        sha256 = hashlib.sha256(data).hexdigest()
        wanted = document["files"].get(name, {}).get("sha256")
        if sha256 != wanted:
            raise ModelFileError(
                f"{folder / name}: is damaged or was changed (its SHA-256 is {sha256[:12]}..., "
                f"{str(wanted)[:12]}... was saved); copy the model again."
            )
    try:
        tensors = safetensors.torch.load(contents[TENSOR_FILE])
    except Exception as exc:  # the reader's own error type is not public
        raise ModelFileError(f"{folder / TENSOR_FILE}: is no safetensors file ({exc}).") from exc
    widened = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    int8 = (contents[INT8_FILES[0]], contents[INT8_FILES[1]]) if len(contents) > 1 else None
    return ModelConfig(**{name: document[name] for name in fields}), widened, int8
