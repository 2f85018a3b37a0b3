"""maskkit train."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maskkit.cli._options import DeviceOption, OnError, OnErrorOption, SplitOption, choose_split, holds_photos

if TYPE_CHECKING:
    from maskkit import MaskClassifier


def train(
    data: Annotated[
        list[Path],
        typer.Argument(
            help="Folder of split/class folders, or of class folders. Several for --recipe.", metavar="DATA..."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder that the model is written to.")],
    recipe: Annotated[
        str | None, typer.Option(help="Train as a model that ships was: maskkit-lite0, from faces and photos.")
    ] = None,
    split: SplitOption = None,
    backbone: Annotated[str, typer.Option(help="resnet50, efficientnet_lite0, timm:NAME or a plugin.")] = "resnet50",
    weights: Annotated[str, typer.Option(help="imagenet, none (random) or the path of a state dict.")] = "imagenet",
    fine_tune: Annotated[
        bool | None,
        typer.Option(
            "--fine-tune/--frozen",
            help="Train every layer, or the head alone. By default every layer from 1,000 images.",
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the data.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Images computed at once.")] = None,
    gradient_accumulation_steps: Annotated[
        int, typer.Option(min=1, help="Batches that make one step, when training every layer.")
    ] = 1,
    learning_rate: Annotated[float | None, typer.Option(min=0, help="The highest of the one-cycle schedule.")] = None,
    image_size: Annotated[int | None, typer.Option(min=16, help="Side of the input, in pixels.")] = None,
    class_weight: Annotated[str | None, typer.Option(help="balanced: each class counts the same.")] = None,
    early_stopping: Annotated[
        bool, typer.Option("--early-stopping", help="Hold out a tenth, stop when its loss no longer falls.")
    ] = False,
    detector: Annotated[str, typer.Option(help="Face detector that the model will use on photos.")] = "centerface",
    seed: Annotated[int, typer.Option(help="Seeds order, initial values and augmentation.")] = 0,
    device: DeviceOption = "auto",
    precision: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="Folder of the state after each epoch; the same command goes on there if interrupted."),
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="Store weights as float16, at half the size.")] = False,
    on_error: OnErrorOption = OnError.RAISE,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the model in --out.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Train a model on face crops sorted into one folder a class.

    Example: maskkit train face-mask-12k --backbone efficientnet_lite0 --out model
    """
    from maskkit import MaskClassifier
    from maskkit._model_folder import check_target
    from maskkit._processes import find_processes
    from maskkit.datasets import load_faces
    from maskkit.exceptions import DataError, ModelFileError

    check_target(out)
    if out.exists() and not overwrite:
        raise ModelFileError(f"{out}: exists; choose another name or add --overwrite.")
    if recipe is not None:
        classifier = _follow(recipe, data, epochs=epochs, seed=seed, device=device, checkpoint=checkpoint, quiet=quiet)
    else:
        if len(data) > 1:
            raise typer.BadParameter(f"one folder, not {len(data)}, unless a recipe wants more", param_hint="DATA")
        if holds_photos(data[0]):
            raise DataError(f"{data[0]}: holds annotated photos; want face crops sorted into one folder a class.")
        faces = choose_split(load_faces(data[0], on_error=on_error.value, random_state=seed), split, default="train")
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
    if not find_processes().is_main:
        return
    classifier.save(out, half=half)
    counts = ", ".join(
        f"{count:,} {label}" for label, count in zip(classifier.classes_, classifier.class_counts_, strict=True)
    )
    megabytes = sum(file.stat().st_size for file in out.iterdir()) / 1e6
    print(f"trained on {counts}")
    print(f"saved {out} ({megabytes:.1f} MB)")


def _follow(
    recipe: str,
    data: list[Path],
    *,
    epochs: int | None,
    seed: int,
    device: str,
    checkpoint: Path | None,
    quiet: bool,
) -> "MaskClassifier":
    from maskkit._recipe import RECIPES, train_lite0
    from maskkit.datasets import load_faces, load_photos

    if recipe not in RECIPES:
        raise typer.BadParameter(f"{recipe!r}; there is {', '.join(RECIPES)}", param_hint="--recipe")
    photos = [path for path in data if holds_photos(path)]
    crops = [path for path in data if path not in photos]
    if (len(photos), len(crops)) != (1, 1):
        raise typer.BadParameter("the recipe wants a folder of faces and one of annotated photos", param_hint="DATA")
    faces = choose_split(load_faces(crops[0], random_state=seed), None, default="train")
    chosen = {} if epochs is None else {"epochs": epochs}
    return train_lite0(
        faces.paths,
        faces.labels.tolist(),
        load_photos(photos[0]),
        device=device,
        seed=seed,
        checkpoint=checkpoint,
        verbose=0 if quiet else 1,
        **chosen,
    )
