"""What a shell offers for the value of an option; nothing heavy is imported to answer it."""

import glob
from pathlib import Path

import typer

from maskkit._files.pretrained import list_pretrained
from maskkit._plugins import names


def complete_model(incomplete: str) -> list[str]:
    """Offer the models that ship with maskkit, and folders that hold one."""
    folders = (Path(folder) for folder in sorted(glob.glob(f"{glob.escape(incomplete)}*/")))
    return list_pretrained() + [str(folder) for folder in folders if (folder / "maskkit.json").is_file()]


def complete_detector() -> list[str]:
    """Offer the installed detectors."""
    return names("detectors")


def complete_backbone() -> list[str]:
    """Offer the installed backbones."""
    return names("backbones")


def complete_reporter() -> list[str]:
    """Offer the installed reporters."""
    return names("reporters")


def complete_split(ctx: typer.Context) -> list[str]:
    """Offer the splits of DATA: folders that hold folders."""
    # The command is not whole yet: its words wait beside the parameters.
    folder = next((Path(word) for word in ctx.args if Path(word).is_dir()), Path())
    splits = sorted(path for path in folder.glob("*") if path.is_dir() and not path.name.startswith("."))
    return [path.name for path in splits if any(inner.is_dir() for inner in path.glob("*"))]


def complete_device() -> list[str]:
    """Offer kinds of device; which there are, torch alone could tell."""
    return ["auto", "cpu", "cuda", "mps"]
