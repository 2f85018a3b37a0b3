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
    SplitOption,
    choose_split,
    holds_photos,
    load_model,
    print_csv,
    print_json,
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
    output: FormatOption = Format.TABLE,
) -> None:
    """Measure a model on labelled crops or annotated photos, with 95 % intervals.

    Example: maskkit evaluate face-mask-12k --split Validation --model model --plots plots
    """
    from maskkit._plugins import resolve

    limits = [_parse_limit(text) for text in fail_under or ()]
    classifier = load_model(model, detector=detector, device=device)
    result = _measure(classifier, data, split, crops=crops, robustness=robustness)
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
    specs = [f"json:{json}"] * (json is not None) + [f"plots:{plots}"] * (plots is not None) + (report or [])
    for spec in specs:
        written = resolve("reporters", spec).report(result)
        if written is not None:
            typer.echo(f"written: {written}", err=True)
    missed = [
        f"{name} {metrics[name].value:.4f} < {limit:g}" for name, limit in limits if not metrics[name].value >= limit
    ]
    if missed:
        raise ValueError(f"under the limit: {', '.join(missed)}")


def _measure(classifier: Any, data: list[Path], split: str | None, *, crops: bool, robustness: bool) -> "Report":
    from maskkit import evaluation
    from maskkit.datasets import load_photos

    if len(data) > 1:
        if robustness:
            raise ValueError(f"--robustness takes one DATA, not {len(data)}; run it once for each.")
        names = [path.resolve().name for path in data]
        # Two folders of one name, Validation say, are told apart by their paths.
        names = names if len(set(names)) == len(names) else list(map(str, data))
        if len(set(names)) < len(names):
            raise ValueError("DATA names one folder twice; want different ones to compare.")
        sets = {name: _load(path, split) for name, path in zip(names, data, strict=True)}
        return evaluation.evaluate(classifier, sets)
    if robustness:
        return evaluation.evaluate_robustness(classifier, _load(data[0], split))
    if holds_photos(data[0]) and not crops:
        return evaluation.evaluate_photos(classifier, load_photos(data[0]))
    return evaluation.evaluate(classifier, _load(data[0], split))


def _load(folder: Path, split: str | None) -> Any:
    """Load photos or faces, of these the split named; faces without splits are taken whole."""
    from maskkit.datasets import load_faces, load_photos

    if holds_photos(folder):
        return load_photos(folder)
    faces = load_faces(folder)
    return faces.splits["all"] if list(faces.splits) == ["all"] else choose_split(faces, split)


def _parse_limit(text: str) -> tuple[str, float]:
    name, _, number = text.partition("=")
    try:
        return name, float(number)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r}; want FIGURE=NUMBER, as in accuracy=0.98", param_hint="--fail-under"
        ) from None
