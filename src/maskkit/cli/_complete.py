"""Shell completion of option values. Nothing heavy is imported here."""

import glob
from pathlib import Path

import typer

from maskkit._files.pretrained import list_pretrained
from maskkit._plugins import names


def complete_model(incomplete: str) -> list[str]:
    """List the bundled models and the model folders that begin with the incomplete word."""
    folders = (Path(folder) for folder in sorted(glob.glob(f"{glob.escape(incomplete)}*/")))
    return list_pretrained() + [str(folder) for folder in folders if (folder / "maskkit.json").is_file()]


def complete_detector() -> list[str]:
    """List the installed detectors."""
    return names("detectors")


def complete_backbone() -> list[str]:
    """List the installed backbones."""
    return names("backbones")


def complete_reporter() -> list[str]:
    """List the installed reporters."""
    return names("reporters")


def complete_split(ctx: typer.Context) -> list[str]:
    """List the splits of DATA: its folders that contain folders."""
    # The command line is still incomplete, so its words are in ctx.args and not in the parameters.
    folder = next((Path(word) for word in ctx.args if Path(word).is_dir()), Path())
    splits = sorted(path for path in folder.glob("*") if path.is_dir() and not path.name.startswith("."))
    return [path.name for path in splits if any(inner.is_dir() for inner in path.glob("*"))]


def complete_device() -> list[str]:
    """List the kinds of device; only torch, which is slow to import, knows which are present."""
    return ["auto", "cpu", "cuda", "mps"]
