"""maskkit train."""

from pathlib import Path
from typing import Annotated

import typer

from maskkit.cli._complete import complete_backbone, complete_detector, complete_device
from maskkit.cli._options import (
    MODEL_GROUP,
    OUTPUT_GROUP,
    OnError,
    OnErrorOption,
    TrainSplitOption,
    check_folder_to_write,
    choose_split,
    holds_photos,
)

TRAINING_GROUP = "Training"


def train(
    data: Annotated[Path, typer.Argument(help="Folder of split/class folders, or of class folders.", metavar="DATA")],
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", metavar="DIR", help="Folder that the model is written to.", rich_help_panel=OUTPUT_GROUP
        ),
    ],
    split: TrainSplitOption = None,
    on_error: OnErrorOption = OnError.RAISE,
    backbone: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="resnet50, efficientnet_lite0, timm:NAME or a plugin.",
            autocompletion=complete_backbone,
            rich_help_panel=MODEL_GROUP,
        ),
    ] = "resnet50",
    weights: Annotated[
        str,
        typer.Option(
            metavar="WEIGHTS",
            help="imagenet, none (random) or the path of a state dict.",
            autocompletion=lambda: ["imagenet", "none"],
            rich_help_panel=MODEL_GROUP,
        ),
    ] = "imagenet",
    image_size: Annotated[
        int | None,
        typer.Option(
            min=16,
            metavar="PX",
            help="Side of the input. By default the backbone's, 160 when training every layer.",
            rich_help_panel=MODEL_GROUP,
        ),
    ] = None,
    detector: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Face detector that the model will use on photos.",
            autocompletion=complete_detector,
            rich_help_panel=MODEL_GROUP,
        ),
    ] = "centerface",
    half: Annotated[
        bool,
        typer.Option("--half", help="Store weights as float16, at half the size.", rich_help_panel=MODEL_GROUP),
    ] = False,
    fine_tune: Annotated[
        bool | None,
        typer.Option(
            "--fine-tune/--frozen",
            help="Train every layer, or the head alone. By default every layer from 1,000 images on.",
            rich_help_panel=TRAINING_GROUP,
        ),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Passes over the data.", rich_help_panel=TRAINING_GROUP)
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Images computed at once.", rich_help_panel=TRAINING_GROUP),
    ] = None,
    gradient_accumulation_steps: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="N",
            help="Batches that make one step, when training every layer.",
            rich_help_panel=TRAINING_GROUP,
        ),
    ] = 1,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            min=0, metavar="RATE", help="The highest of the one-cycle schedule.", rich_help_panel=TRAINING_GROUP
        ),
    ] = None,
    class_weight: Annotated[
        str | None,
        typer.Option(
            metavar="balanced",
            help="Each class counts the same, however many images it has.",
            autocompletion=lambda: ["balanced"],
            rich_help_panel=TRAINING_GROUP,
        ),
    ] = None,
    early_stopping: Annotated[
        bool,
        typer.Option(
            "--early-stopping",
            help="Hold out a tenth, stop when its loss no longer falls.",
            rich_help_panel=TRAINING_GROUP,
        ),
    ] = False,
    seed: Annotated[
        int,
        typer.Option(metavar="N", help="Seeds order, initial values and augmentation.", rich_help_panel=TRAINING_GROUP),
    ] = 0,
    device: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="auto, cpu, cuda, cuda:1 or mps.",
            autocompletion=complete_device,
            rich_help_panel=TRAINING_GROUP,
        ),
    ] = "auto",
    precision: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="auto, float32, bfloat16 or float16.",
            autocompletion=lambda: ["auto", "float32", "bfloat16", "float16"],
            rich_help_panel=TRAINING_GROUP,
        ),
    ] = "auto",
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Keep the state after each epoch; the same command goes on there if interrupted.",
            rich_help_panel=TRAINING_GROUP,
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the model in --out.", rich_help_panel=OUTPUT_GROUP)
    ] = False,
    plots: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write the learning curve into this folder, as learning_curve.png.",
            rich_help_panel=OUTPUT_GROUP,
        ),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Show no progress.", rich_help_panel=OUTPUT_GROUP)
    ] = False,
) -> None:
    """Train a model on face crops sorted into one folder a class.

    DATA holds Train/WithMask/*.png and so on, or WithMask/*.png alone; the folders name the classes.

    Example: maskkit train faces --backbone efficientnet_lite0 --out model

    Example: maskkit train faces --out model --fine-tune --epochs 8 --plots plots
    """
    from maskkit import MaskClassifier
    from maskkit._files.model_folder import check_target
    from maskkit._training.distributed import find_world
    from maskkit.datasets import load_faces
    from maskkit.exceptions import DataError, ModelFileError

    check_target(out)
    check_folder_to_write(plots, "--plots")
    if out.exists() and not overwrite:
        raise ModelFileError(f"{out}: exists; choose another name or add --overwrite.")
    if holds_photos(data):
        raise DataError(f"{data}: holds annotated photos; want face crops sorted into one folder a class.")
    faces = choose_split(load_faces(data, on_error=on_error.value, random_state=seed), split, default="train")
    classifier = MaskClassifier(
        backbone,
        weights=None if weights == "none" else weights,
        fine_tune="auto" if fine_tune is None else fine_tune,
        epochs=epochs,
        batch_size=batch_size,
        gradient_accumulation_steps=gradient_accumulation_steps,
        learning_rate=learning_rate,
        image_size=image_size,
        class_weight=class_weight,
        early_stopping=early_stopping or None,
        detector=detector,
        device=device,
        precision=precision,
        checkpoint=checkpoint,
        random_state=seed,
        verbose=0 if quiet else 1,
    )
    classifier.fit(faces.paths, faces.labels)
    if not find_world().is_main:
        return
    classifier.save(out, half=half)
    counts = ", ".join(
        f"{count:,} {label}" for label, count in zip(classifier.classes_, classifier.class_counts_, strict=True)
    )
    megabytes = sum(file.stat().st_size for file in out.iterdir()) / 1e6
    print(f"trained on {counts}")
    print(f"saved {out} ({megabytes:.1f} MB)")
    if plots is not None:
        from maskkit._display.charts import save_figure

        figure = classifier.history_.figure()
        typer.echo(f"written: {save_figure(figure, plots / 'learning_curve.png')}", err=True)
