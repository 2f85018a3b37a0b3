"""maskkit evaluate."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maskkit.cli._complete import complete_reporter
from maskkit.cli._options import (
    DATA_GROUP,
    DEFAULT_MODEL,
    OUTPUT_GROUP,
    DetectorOption,
    DeviceOption,
    Format,
    FormatOption,
    ModelOption,
    OnError,
    OnErrorOption,
    SplitOption,
    check_folder_to_write,
    choose_split,
    holds_photos,
    load_data,
    load_model,
    print_results,
    refuse_for_photos,
)

if TYPE_CHECKING:
    from maskkit.reporters import Report


def evaluate(
    data: Annotated[
        list[Path],
        typer.Argument(
            help="Folder of face crops as for train, or of photos with VOC annotations.",
            metavar="DATA...",
        ),
    ],
    split: SplitOption = None,
    crops: Annotated[
        bool,
        typer.Option(
            "--crops",
            help="Judge the annotated faces of photos; several DATA always do. No detector.",
            rich_help_panel=DATA_GROUP,
        ),
    ] = False,
    robustness: Annotated[
        bool,
        typer.Option(
            "--robustness",
            help="Instead, measure faces made smaller, blurred, compressed and dark.",
            rich_help_panel=DATA_GROUP,
        ),
    ] = False,
    on_error: OnErrorOption = OnError.RAISE,
    model: ModelOption = DEFAULT_MODEL,
    detector: DetectorOption = None,
    device: DeviceOption = "auto",
    json: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write everything to this JSON file.", rich_help_panel=OUTPUT_GROUP),
    ] = None,
    plots: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write pictures into this folder.", rich_help_panel=OUTPUT_GROUP),
    ] = None,
    report: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Another reporter, NAME or NAME:ARGUMENT, as in mlflow. Repeatable.",
            autocompletion=complete_reporter,
            rich_help_panel=OUTPUT_GROUP,
        ),
    ] = None,
    fail_under: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIGURE=NUMBER",
            help="Exit 1 if a figure is lower, as in accuracy=0.98. Repeatable.",
            rich_help_panel=OUTPUT_GROUP,
        ),
    ] = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Measure a model on labelled crops or annotated photos.

    Every figure comes with its 95 % interval. Several DATA are compared with the first.

    Example: maskkit evaluate faces --split Validation --model model --plots plots

    Example: maskkit evaluate photos --model model --fail-under found_and_right=0.8
    """
    from maskkit import evaluation
    from maskkit._plugins import resolve
    from maskkit.evaluation._report import report_to

    # Whatever can be wrong with the question is found before the answer is computed.
    check_folder_to_write(plots, "--plots")
    limits = [_parse_limit(text) for text in fail_under or ()]
    specs = [f"json:{json}"] * (json is not None) + [f"plots:{plots}"] * (plots is not None) + (report or [])
    takers = [resolve("reporters", spec) for spec in specs]
    detects = len(data) == 1 and holds_photos(data[0]) and not (crops or robustness)
    if detector is not None and not detects:
        raise typer.BadParameter("nothing is detected in face crops and annotated faces", param_hint="--detector")
    sets = _load_sets(data, split, on_error.value, crops=crops, robustness=robustness)
    classifier = load_model(model, detector=detector, device=device)
    result: Report
    if detects:
        result = evaluation.evaluate_photos(classifier, sets)
    elif robustness:
        result = evaluation.evaluate_robustness(classifier, sets)
    else:
        result = evaluation.evaluate(classifier, sets)
    metrics = result.metrics()
    unknown = [name for name, _ in limits if name not in metrics]
    if unknown:
        raise ValueError(f"--fail-under {', '.join(unknown)} is unknown; the figures are {', '.join(metrics)}.")
    rows = [
        {"figure": name, "value": estimate.value, "low": estimate.low, "high": estimate.high, "n": estimate.n}
        for name, estimate in metrics.items()
    ]
    print_results(output, table=result, document=result.to_dict(), rows=rows)
    for written in report_to(takers, result):
        typer.echo(f"written: {written}", err=True)
    missed = [
        f"{name} {metrics[name].value:.4f} < {limit:g}" for name, limit in limits if not metrics[name].value >= limit
    ]
    if missed:
        raise ValueError(f"under the limit: {', '.join(missed)}")


def _load_sets(data: list[Path], split: str | None, on_error: Any, *, crops: bool, robustness: bool) -> Any:
    """Load one data set, or several by name."""
    if all(map(holds_photos, data)):
        refuse_for_photos("--split", split)
    elif crops and len(data) == 1:
        raise typer.BadParameter("is for annotated photos; DATA holds face crops", param_hint="--crops")
    if len(data) == 1:
        return _load(data[0], split, on_error)
    if robustness:
        raise typer.BadParameter(f"takes one DATA, not {len(data)}; run it once for each", param_hint="--robustness")
    names = [path.resolve().name for path in data]
    # Two folders of one name, Validation say, are told apart by their paths.
    names = names if len(set(names)) == len(names) else list(map(str, data))
    if len(set(names)) < len(names):
        raise typer.BadParameter("names one folder twice; want different ones to compare", param_hint="DATA")
    return {name: _load(path, split, on_error) for name, path in zip(names, data, strict=True)}


def _load(folder: Path, split: str | None, on_error: Any) -> Any:
    """Load photos or faces, of these the split named; faces without splits are taken whole."""
    loaded = load_data(folder, on_error=on_error)
    if holds_photos(folder):
        return loaded
    return loaded.splits["all"] if list(loaded.splits) == ["all"] else choose_split(loaded, split)


def _parse_limit(text: str) -> tuple[str, float]:
    name, _, number = text.partition("=")
    try:
        return name, float(number)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r}; want FIGURE=NUMBER, as in accuracy=0.98", param_hint="--fail-under"
        ) from None
