"""Arguments and options that several commands share, with their shell completion. Nothing heavy is imported here."""

import csv
import glob
import math
import re
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import typer

from maskkit import _plugins
from maskkit._files.pretrained import list_pretrained

Format: TypeAlias = Literal["table", "json", "jsonl", "csv"]
OnError: TypeAlias = Literal["raise", "skip"]

DEFAULT_MODEL = "maskkit-lite0"

# Only torch, which is slow to import, knows which devices are present, so that completion offers all kinds.
DEVICES = ["auto", "cpu", "cuda", "mps"]

DATA_HELP = (
    "Face crops in one folder per class, photos with Pascal VOC files, a table (.csv, .parquet), COCO (.json) or YOLO "
    "(.yaml)."
)

# Titles of the option groups in --help.
DATA_GROUP, MODEL_GROUP, OUTPUT_GROUP = "Data", "Model", "Output"


def option(metavar: str, text: str, panel: str | None = None, *names: str, **settings: Any) -> Any:
    """Return a typer option: its value in --help, its help text and the group that it belongs to."""
    settings.setdefault("callback", check_finite)
    return typer.Option(*names, metavar=metavar, help=text, rich_help_panel=panel, **settings)


def flag(name: str, text: str, panel: str | None = None, *names: str, **settings: Any) -> Any:
    """Return a typer option that takes no value, without the type "<bool>" that typer would show."""
    return option("", text, panel, name, *names, **settings)


def out_option(metavar: str, text: str, **settings: Any) -> Any:
    return option(metavar, text, OUTPUT_GROUP, "--out", "-o", **settings)


def check_finite(param: typer.CallbackParam, value: Any) -> Any:
    """Raise BadParameter if a number is NaN or infinite, which limits such as min=0 let pass."""
    if isinstance(value, float) and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number", param_hint=param.opts[0])
    return value


def check_folder(param: typer.CallbackParam, path: Path | None) -> Path | None:
    """Raise BadParameter, before anything is computed, if an output folder is a file."""
    if path is not None and path.exists() and not path.is_dir():
        message = f"{path}: is a file; pass a folder, which is created if missing"
        raise typer.BadParameter(message, param_hint=param.opts[0])
    return path


def complete_model(incomplete: str) -> list[str]:
    """List the bundled models and the model folders that begin with the incomplete word."""
    folders = (Path(folder) for folder in sorted(glob.glob(f"{glob.escape(incomplete)}*/")))
    return list_pretrained() + [str(folder) for folder in folders if (folder / "maskkit.json").is_file()]


def complete_split(ctx: typer.Context) -> list[str]:
    """List the splits of DATA: its folders that contain folders, the keys of a YAML file, or a column of a CSV file."""
    # The command line is still incomplete, so its words are in ctx.args and not in the parameters.
    folder = next((Path(word) for word in ctx.args if Path(word).exists()), Path())
    if folder.suffix.lower() in (".yaml", ".yml"):
        return re.findall(r"^(train|val|test):", folder.read_text(errors="replace"), re.MULTILINE)
    if folder.suffix.lower() == ".csv":
        with folder.open(errors="replace", newline="") as file:
            return sorted({row["split"] for row in csv.DictReader(file) if row.get("split")})
    splits = sorted(path for path in folder.glob("*") if path.is_dir() and not path.name.startswith("."))
    return [path.name for path in splits if any(inner.is_dir() for inner in path.glob("*"))]


def complete_detector() -> list[str]:
    return _plugins.names("detectors")


DataArgument = Annotated[Path, typer.Argument(help=DATA_HELP, metavar="DATA")]
PhotosArgument = Annotated[
    list[str], typer.Argument(help="Photos: files, folders or quoted patterns.", metavar="SOURCE")
]
ModelOption = Annotated[
    str,
    option(
        "MODEL",
        "Model folder written by train, the name of a bundled model, or hub:USER/MODEL.",
        MODEL_GROUP,
        "--model",
        "-m",
        autocompletion=complete_model,
    ),
]
DetectorOption = Annotated[
    str | None,
    option(
        "NAME",
        "Face detector to use instead of the model's own: maskkit, centerface, dlib_hog, dlib_cnn, yunet, whole (the "
        "image is one face) or a plugin's.",
        MODEL_GROUP,
        autocompletion=complete_detector,
    ),
]
DetectorSizeOption = Annotated[
    list[int] | None,
    option(
        "PX",
        "Long side to which the detector scales images, instead of the several that it chooses; repeatable. Larger "
        "finds smaller faces but is slower; 240 finds faces that fill the picture.",
        MODEL_GROUP,
        min=32,
    ),
]
DeviceOption = Annotated[
    str, option("NAME", "Device: auto, cpu, cuda, cuda:1 or mps.", MODEL_GROUP, autocompletion=lambda: DEVICES)
]
ThresholdOption = Annotated[
    float | None,
    option(
        "P",
        "Probability below which a face is uncertain, instead of the model's own threshold.",
        MODEL_GROUP,
        min=0,
        max=1,
    ),
]
MinSizeOption = Annotated[
    float | None,
    option(
        "PX",
        "Longer side of the box below which a face is uncertain, instead of the model's own minimum.",
        MODEL_GROUP,
        min=0,
    ),
]
MaxFacesOption = Annotated[
    int | None,
    option("N", "Classify only the N largest faces of a photo; the result says how many others.", MODEL_GROUP, min=1),
]
FormatOption = Annotated[
    Format, option("FORMAT", "Output format: table, json, jsonl or csv.", OUTPUT_GROUP, "--format", "-f")
]
OnErrorOption = Annotated[
    OnError,
    option("raise|skip", "What to do with images that cannot be read: stop, or skip them with a warning.", DATA_GROUP),
]


def limit_pixels(max_pixels: int | None) -> int | None:
    """Set the largest number of pixels of the images that this process reads."""
    # The module imports Pillow, which shell completion does not wait for; until it is imported, no limit is set.
    if max_pixels is not None or "maskkit._images.decode" in sys.modules:
        from maskkit._images import decode

        decode.limit_pixels(max_pixels)
    return max_pixels


MaxPixelsOption = Annotated[
    int | None,
    option(
        "N",
        "Largest number of pixels of an image that is read. By default 178,956,970, with a warning above half of it.",
        DATA_GROUP,
        min=1,
        callback=limit_pixels,
    ),
]
CropsOption = Annotated[bool, flag("--crops", "Treat each image as one face, without detection.", DATA_GROUP)]
SplitOption = Annotated[
    str | None,
    option(
        "NAME",
        "Split of DATA to use, such as Validation. Required if there are several.",
        DATA_GROUP,
        autocompletion=complete_split,
    ),
]
TrainSplitOption = Annotated[
    str | None, option("NAME", "Split of DATA to use. By default Train.", DATA_GROUP, autocompletion=complete_split)
]
PlotsOption = Annotated[Path | None, option("DIR", "Write plots to this folder.", OUTPUT_GROUP, callback=check_folder)]
PictureOption = Annotated[
    Path | None,
    out_option("FILE", "Picture to write, which must not exist. By default a new file in the current folder."),
]
QuietOption = Annotated[bool, flag("--quiet", "Show no progress.", OUTPUT_GROUP, "-q")]
SeedOption = Annotated[int, option("N", "Random seed.", DATA_GROUP)]
HalfOption = Annotated[
    bool, flag("--half", "Store weights as float16, which halves the size of the model.", MODEL_GROUP)
]
OverwriteOption = Annotated[bool, flag("--overwrite", "Replace the model in --out.", OUTPUT_GROUP)]
