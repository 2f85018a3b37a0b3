"""maskkit evaluate."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maskkit.cli._options import (
    DEFAULT_MODEL,
    DetectorOption,
    DeviceOption,
    Format,
    FormatOption,
    ModelOption,
    OnError,
    OnErrorOption,
    SplitOption,
    choose_split,
    holds_photos,
    load_model,
    print_csv,
    print_json,
    refuse_for_photos,
)

if TYPE_CHECKING:
    from maskkit.reporters import Report


def evaluate(
    data: Annotated[
        list[Path],
        typer.Argument(
            help="Folder of face crops as for train, or of photos with VOC annotations; several are compared with "
            "the first.",
            metavar="DATA...",
        ),
    ],
    model: ModelOption = DEFAULT_MODEL,
    split: SplitOption = None,
    detector: DetectorOption = None,
    device: DeviceOption = "auto",
    crops: Annotated[
        bool, typer.Option("--crops", help="Judge the annotated faces of photos; several DATA always do. No detector.")
    ] = False,
    robustness: Annotated[
        bool, typer.Option("--robustness", help="Instead, measure faces made smaller, blurred, compressed and dark.")
    ] = False,
    json: Annotated[Path | None, typer.Option(help="Write everything to this JSON file.")] = None,
    plots: Annotated[Path | None, typer.Option(help="Write pictures into this folder.")] = None,
    report: Annotated[
        list[str] | None, typer.Option(help="Another reporter, NAME or NAME:ARGUMENT, as in mlflow. Repeatable.")
    ] = None,
    fail_under: Annotated[
        list[str] | None, typer.Option(help="Exit 1 if a figure is lower, as in accuracy=0.98. Repeatable.")
    ] = None,
    on_error: OnErrorOption = OnError.RAISE,
    output: FormatOption = Format.TABLE,
) -> None:
    """Measure a model on labelled crops or annotated photos, with 95 % intervals.

    Example: maskkit evaluate face-mask-12k --split Validation --model model --plots plots
    """
    from maskkit import evaluation
    from maskkit._plugins import resolve
    from maskkit.evaluation._report import report_to

    # Whatever can be wrong with the question is found before the answer is computed.
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
    if output is Format.TABLE:
        resolve("reporters", "console").report(result)
    elif output is Format.CSV:
        print_csv(rows, rows[0])
    elif output is Format.JSONL:
        import json as json_module

        for row in rows:
            print(json_module.dumps(row))
    else:
        print_json(result.to_dict())
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
    from maskkit.datasets import load_faces, load_photos

    if holds_photos(folder):
        return load_photos(folder, on_error=on_error)
    faces = load_faces(folder, on_error=on_error)
    return faces.splits["all"] if list(faces.splits) == ["all"] else choose_split(faces, split)


def _parse_limit(text: str) -> tuple[str, float]:
    name, _, number = text.partition("=")
    try:
        return name, float(number)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r}; want FIGURE=NUMBER, as in accuracy=0.98", param_hint="--fail-under"
        ) from None
