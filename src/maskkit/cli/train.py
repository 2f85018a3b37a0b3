"""maskkit train."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maskkit import _plugins
from maskkit._files.pretrained import find_model
from maskkit._text import escape_text
from maskkit.cli import _options as shared
from maskkit.cli._config import ConfigOption, write_options
from maskkit.cli._inputs import are_photos, choose_split, load_data, load_model
from maskkit.cli._options import MODEL_GROUP, OUTPUT_GROUP, flag, option, out_option
from maskkit.cli._outputs import check_model_folder, print_written

if TYPE_CHECKING:
    from maskkit import MaskClassifier

LAYERS_GROUP, TRAINING_GROUP, VALIDATION_GROUP = "Layers", "Training", "Validation"

# Options that have the names of the parameters of MaskClassifier that they set.
_PARAMETERS = (
    *("epochs", "batch_size", "gradient_accumulation_steps", "learning_rate", "image_size", "class_weight"),
    *("detector", "device", "precision", "checkpoint"),
)


OutOption = Annotated[Path, out_option("DIR", "Folder to write the model to.")]
BackboneOption = Annotated[
    str,
    option(
        "NAME",
        "Backbone: resnet50, efficientnet_lite0, timm:NAME or a plugin's.",
        MODEL_GROUP,
        autocompletion=lambda: _plugins.names("backbones"),
    ),
]
WeightsOption = Annotated[
    str,
    option(
        "WEIGHTS",
        "Initial weights: imagenet, none (random), or the path of a state dict or a saved model.",
        MODEL_GROUP,
        autocompletion=lambda: ["imagenet", "none"],
    ),
]
FromOption = Annotated[
    str | None,
    option(
        "MODEL",
        "Trained model to go on from, a folder or the name of a bundled model, instead of a new one. It keeps its "
        "backbone, and its input size and detector unless others are given.",
        MODEL_GROUP,
        "--from",
        autocompletion=shared.complete_model,
    ),
]
ImageSizeOption = Annotated[
    int | None,
    option(
        "PX",
        "Side of the input image. By default the backbone's own; 160, if possible, if all layers are trained.",
        MODEL_GROUP,
        min=16,
    ),
]
DetectorOption = Annotated[
    str,
    option(
        "NAME", "Face detector that the model uses on photos.", MODEL_GROUP, autocompletion=shared.complete_detector
    ),
]
FineTuneOption = Annotated[
    bool | None,
    flag("--fine-tune/--frozen", "Train all layers, or only the head. By default all layers.", LAYERS_GROUP),
]
NoAugmentOption = Annotated[
    bool, flag("--no-augment", "Train on the images as they are, without changes and painted masks.", TRAINING_GROUP)
]
AugmentOnDeviceOption = Annotated[
    bool,
    flag("--augment-on-device", "Change images on the device that trains, which relieves the CPU.", TRAINING_GROUP),
]
NoFindFaceOption = Annotated[
    bool, flag("--no-find-face", "Use pictures whole, also those that show much more than a face.", MODEL_GROUP)
]
EpochsOption = Annotated[
    int | None,
    option(
        "N",
        "Number of epochs. By default 4 or more for all layers, 10 or more for only the head, so that a few images are "
        "seen often enough.",
        TRAINING_GROUP,
        min=1,
    ),
]
BatchSizeOption = Annotated[int | None, option("N", "Number of images per batch.", TRAINING_GROUP, min=1)]
GradientAccumulationStepsOption = Annotated[
    int, option("N", "Number of batches per optimizer step if all layers are trained.", TRAINING_GROUP, min=1)
]
LearningRateOption = Annotated[
    float | None, option("LR", "Maximum learning rate of the one-cycle schedule.", TRAINING_GROUP, min=0)
]
ClassWeightOption = Annotated[
    str | None,
    option("balanced", "Give every class the same total weight.", TRAINING_GROUP, autocompletion=lambda: ["balanced"]),
]
EarlyStoppingOption = Annotated[
    bool,
    flag(
        "--early-stopping",
        "Stop when the loss of the validation images stops falling. Without --validation or --validation-split, a "
        "tenth of the images is held out for this.",
        VALIDATION_GROUP,
    ),
]
ValidationOption = Annotated[
    Path | None, option("DATA", "Other data on which the model is measured after each epoch.", VALIDATION_GROUP)
]
ValidationSplitOption = Annotated[
    str | None,
    option(
        "NAME",
        "Split of DATA on which the model is measured after each epoch, or none. By default Validation, if there is "
        "such a split and no --early-stopping.",
        VALIDATION_GROUP,
        autocompletion=shared.complete_split,
    ),
]
ReportOption = Annotated[
    list[str] | None,
    option(
        "NAME",
        "Reporter of each epoch, NAME or NAME:ARGUMENT, such as tensorboard:runs or mlflow. Repeatable.",
        OUTPUT_GROUP,
        autocompletion=lambda: ["mlflow", "tensorboard"],
    ),
]
SeedOption = Annotated[
    int, option("N", "Random seed of image order, initial weights and augmentation.", TRAINING_GROUP)
]
DeviceOption = Annotated[
    str,
    option("NAME", "Device: auto, cpu, cuda, cuda:1 or mps.", TRAINING_GROUP, autocompletion=lambda: shared.DEVICES),
]
PrecisionOption = Annotated[
    str,
    option(
        "NAME",
        "Precision: auto, float32, bfloat16 or float16.",
        TRAINING_GROUP,
        autocompletion=lambda: ["auto", "float32", "bfloat16", "float16"],
    ),
]
CheckpointOption = Annotated[
    Path | None,
    option("DIR", "Save the training state after each epoch. Run the same command again to resume.", TRAINING_GROUP),
]


def train(
    ctx: typer.Context,
    data: shared.DataArgument,
    out: OutOption,
    config: ConfigOption = None,
    split: shared.TrainSplitOption = None,
    on_error: shared.OnErrorOption = "raise",
    max_pixels: shared.MaxPixelsOption = None,
    backbone: BackboneOption = "resnet50",
    weights: WeightsOption = "imagenet",
    from_model: FromOption = None,
    image_size: ImageSizeOption = None,
    no_find_face: NoFindFaceOption = False,
    detector: DetectorOption = "maskkit",
    half: shared.HalfOption = False,
    fine_tune: FineTuneOption = None,
    no_augment: NoAugmentOption = False,
    augment_on_device: AugmentOnDeviceOption = False,
    epochs: EpochsOption = None,
    batch_size: BatchSizeOption = None,
    gradient_accumulation_steps: GradientAccumulationStepsOption = 1,
    learning_rate: LearningRateOption = None,
    class_weight: ClassWeightOption = None,
    validation: ValidationOption = None,
    validation_split: ValidationSplitOption = None,
    early_stopping: EarlyStoppingOption = False,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    checkpoint: CheckpointOption = None,
    overwrite: shared.OverwriteOption = False,
    plots: shared.PlotsOption = None,
    report: ReportOption = None,
    quiet: shared.QuietOption = False,
) -> None:
    """Train a classifier on face crops or annotated photos.

    The crops of each class are in a folder of their own, such as
    DATA/Train/with_mask/*.png, or DATA/with_mask/*.png without splits. The
    names of the folders are the class names. Of photos, the annotated faces are
    cut out. DATA may also be a table, a COCO file or a YOLO data.yaml.

    Example: maskkit train faces --backbone efficientnet_lite0 --out model

    Example: maskkit train faces --out model --fine-tune --epochs 8 --plots plots

    Example: maskkit train data.yaml --out model

    Example: maskkit train faces --from maskkit-lite0 --out model
    """
    check_model_folder(out, overwrite=overwrite)
    if no_augment and augment_on_device:
        raise typer.BadParameter("excludes --no-augment; leave one of them out", param_hint="--augment-on-device")
    outputs = [folder for folder in (out, plots, checkpoint) if folder is not None]
    load = partial(load_data, data, outputs=outputs, random_state=seed)
    base = None
    if from_model is not None:
        _leave_to_model(ctx)
        base = load_model(from_model)
    # A model is checked by the fit, before any image is read.
    is_model = base is not None or find_model(weights) is not None
    found = _load_after_check(load, None if is_model else backbone, weights, on_error)
    faces = choose_split(found, split, default="train")
    if validation is not None:
        found = load_data(validation, on_error=on_error, outputs=outputs)
    elif early_stopping and validation_split is None:
        validation_split = "none"
    measured = _choose_validation(found, faces, validation, validation_split, is_quiet=quiet)
    classifier = _make_classifier(ctx.params, base, measured)
    classifier.fit(*((faces,) if are_photos(faces) else (faces.paths, faces.labels)))
    _write_results(classifier, out, plots, half=half, overwrite=overwrite, options=write_options(ctx))


def _make_classifier(
    options: Mapping[str, Any], base: "MaskClassifier | None", validation_data: Any
) -> "MaskClassifier":
    """Return the classifier that the options of the command describe, measured on some data after each epoch.

    `base` is the model to go on from; it keeps its parameters where an option is None.
    """
    from maskkit import MaskClassifier

    params = {name: options[name] for name in _PARAMETERS} | {
        "fine_tune": "auto" if options["fine_tune"] is None else options["fine_tune"],
        "augment": None if options["no_augment"] else "device" if options["augment_on_device"] else "auto",
        "find_face": not options["no_find_face"],
        "early_stopping": options["early_stopping"] or None,
        "validation_data": validation_data,
        "random_state": options["seed"],
        "verbose": 0 if options["quiet"] else 1,
        "callbacks": [*(options["report"] or ()), *([_Sheet(options["plots"])] if options["plots"] else ())] or None,
    }
    if base is None:
        weights = None if options["weights"] == "none" else options["weights"]
        return MaskClassifier(options["backbone"], weights=weights, **params)
    kept = [name for name in ("image_size", "detector") if options[name] is None]
    kept += ["find_face"] if options["no_find_face"] is None else []
    return base.set_params(**{name: value for name, value in params.items() if name not in kept})


@dataclass(frozen=True, slots=True)
class _Sheet:
    """Callback that draws some images of training, as augmentation left them, before the first epoch."""

    folder: Path

    def report_images(self, images: Any, labels: list[Any]) -> None:
        from PIL import Image

        from maskkit._display.collage import compose_tiles
        from maskkit._files.outputs import find_free, save_picture

        pictures, classes = list(map(Image.fromarray, images)), list(dict.fromkeys(labels))
        sheet = compose_tiles(pictures, labels, classes, n_columns=6, tile_size=(160, 160))
        print_written(save_picture(sheet, find_free(self.folder / "training_images.png")))


def _leave_to_model(ctx: typer.Context) -> None:
    """Make None of the options that the model of --from decides; raise BadParameter if they ask for another network."""
    # Typer exports no name for the enum of sources.
    source = {name: getattr(ctx.get_parameter_source(name), "name", "") for name in ctx.params}
    for name in ("backbone", "weights", "image_size", "no_find_face", "detector"):
        is_network = name in ("backbone", "weights")
        # A --from on the command line wins over the network of a file.
        wins = is_network and (source["from_model"], source[name]) == ("COMMANDLINE", "DEFAULT_MAP")
        if wins or source[name] == "DEFAULT":
            ctx.params[name] = None
        elif is_network:
            raise typer.BadParameter("the model of --from has its own; leave out one of both", param_hint=f"--{name}")


def _choose_validation(found: Any, training: Any, folder: Path | None, split: str | None, *, is_quiet: bool) -> Any:
    """Return the images of `found` on which the model is measured, and print which these are; None without any."""
    from maskkit._training.distributed import find_world

    name, option = (split or "").lower(), "--validation-split"
    if name == "none":
        return None
    splits = {} if isinstance(found, list) else found.splits
    default = next((usual for usual in ("validation", "val") if usual in splits), None)
    if splits and not name and folder is None and default is None:
        return None
    faces = choose_split(found, split, default=default, option=option)
    of_split = "".join(
        f" of the split {other}" for other, images in splits.items() if images is faces and other != "all"
    )
    if faces is training:
        if not split:
            return None
        raise typer.BadParameter("this is the split that is trained on; choose another one", param_hint=option)
    photos = are_photos(faces)
    counted = f"{sum(len(photo.labels) for photo in faces):,} faces" if photos else f"{len(faces.paths):,} images"
    if not is_quiet and find_world().is_main:
        where = "" if folder is None else f" in {folder}"
        way_out = "" if split or folder else f" ({option} none: no)"
        typer.echo(escape_text(f"After each epoch, {counted}{of_split}{where} are measured{way_out}."), err=True)
    return faces if photos else (faces.paths, faces.labels)


def _load_after_check(load: Callable[..., Any], backbone: str | None, weights: str, on_error: str) -> Any:
    """Return the faces. Weights that cannot be found are reported when images are listed, before any is read."""
    from maskkit.backbones._base import build_network

    found = load()
    if backbone is not None:
        resolved = _plugins.resolve("backbones", backbone)
        if weights != "none":
            build_network(resolved, weights)
    return load(on_error="skip") if on_error == "skip" else found


def _write_results(
    classifier: "MaskClassifier", out: Path, plots: Path | None, *, half: bool, overwrite: bool, options: str
) -> None:
    """Save the model with the options of the command and the learning curve, and print a summary."""
    from maskkit._files.model_folder import OPTIONS_FILE
    from maskkit._files.outputs import create_file, find_free
    from maskkit._training.distributed import find_world

    # Under torchrun or accelerate launch every process trains, and only the main one saves.
    if not find_world().is_main:
        return
    # A training that ended meanwhile may have taken the name.
    out = out if overwrite else find_free(out)
    classifier.save(os.fspath(out), half=half)
    create_file(out / OPTIONS_FILE, options.encode())
    counts = zip(classifier.classes_, classifier.class_counts_, strict=True)
    megabytes = sum(file.stat().st_size for file in out.iterdir()) / 1e6
    print(escape_text(f"trained on {', '.join(f'{count:,} {label}' for label, count in counts)}"))
    print_written(f"{out} ({megabytes:.1f} MB)")
    if plots is not None:
        from maskkit._display.charts import save_figure

        print_written(save_figure(classifier.history_.figure(), find_free(plots / "learning_curve.png")))
