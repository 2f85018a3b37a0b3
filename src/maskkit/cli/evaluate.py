"""maskkit evaluate."""

from pathlib import Path
from typing import Annotated

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


def evaluate(
    data: Annotated[
        Path,
        typer.Argument(help="Folder of face crops as for train, or of photos with VOC annotations.", metavar="DATA"),
    ],
    model: ModelOption = DEFAULT_MODEL,
    split: SplitOption = None,
    detector: DetectorOption = None,
    device: DeviceOption = "auto",
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
    from maskkit.datasets import load_faces, load_photos

    # Whatever can be wrong with the question is found before the answer is computed.
    limits = [_parse_limit(text) for text in fail_under or ()]
    specs = [f"json:{json}"] * (json is not None) + [f"plots:{plots}"] * (plots is not None) + (report or [])
    takers = [resolve("reporters", spec) for spec in specs]
    result: evaluation.Evaluation | evaluation.PhotoEvaluation
    if holds_photos(data):
        refuse_for_photos("--split", split)
        photos = load_photos(data, on_error=on_error.value)
        result = evaluation.evaluate_photos(load_model(model, detector=detector, device=device), photos)
    else:
        if detector is not None:
            raise typer.BadParameter("DATA holds face crops, in which nothing is detected", param_hint="--detector")
        faces = choose_split(load_faces(data, on_error=on_error.value), split)
        result = evaluation.evaluate(load_model(model, device=device), faces.paths, faces.labels)
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
    for taker in takers:
        written = taker.report(result)
        if written is not None:
            typer.echo(f"written: {written}", err=True)
    missed = [
        f"{name} {metrics[name].value:.4f} < {limit:g}" for name, limit in limits if not metrics[name].value >= limit
    ]
    if missed:
        raise ValueError(f"under the limit: {', '.join(missed)}")


def _parse_limit(text: str) -> tuple[str, float]:
    name, _, number = text.partition("=")
    try:
        return name, float(number)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r}; want FIGURE=NUMBER, as in accuracy=0.98", param_hint="--fail-under"
        ) from None
