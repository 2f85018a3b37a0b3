"""maskkit evaluate."""

import math
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maskkit import _plugins
from maskkit._text import hide_secrets
from maskkit.cli import _options as shared
from maskkit.cli._inputs import are_photos, check_no_detection, check_no_split, choose_split, load_data, load_model
from maskkit.cli._options import DATA_GROUP, DATA_HELP, OUTPUT_GROUP, flag, option, out_option
from maskkit.cli._outputs import print_results, print_written

if TYPE_CHECKING:
    from maskkit import MaskClassifier
    from maskkit.reporters import Report, Reporter

DataArgument = Annotated[list[Path], typer.Argument(help=DATA_HELP, metavar="DATA")]
CropsOption = Annotated[bool, flag("--crops", "Classify the annotated faces of photos, without detection.", DATA_GROUP)]
RobustnessOption = Annotated[
    bool, flag("--robustness", "Evaluate robustness to downscaling, blur, JPEG, low light and occluders.", DATA_GROUP)
]
ByOption = Annotated[
    list[str] | None,
    option("COLUMN", "Column of a table of face crops by which accuracy is shown, too. Repeatable.", DATA_GROUP),
]
OutOption = Annotated[Path | None, out_option("FILE", "Write the full results to this JSON file.")]
ReportOption = Annotated[
    list[str] | None,
    option(
        "NAME",
        "Additional reporter, NAME or NAME:ARGUMENT, such as mlflow. Repeatable.",
        OUTPUT_GROUP,
        autocompletion=lambda: _plugins.names("reporters"),
    ),
]
FailUnderOption = Annotated[
    list[str] | None,
    option("METRIC=MIN", "Exit with code 1 if a metric is lower, as in accuracy=0.98. Repeatable.", OUTPUT_GROUP),
]


def evaluate(
    ctx: typer.Context,
    data: DataArgument,
    split: shared.SplitOption = None,
    crops: CropsOption = False,
    robustness: RobustnessOption = False,
    by: ByOption = None,
    on_error: shared.OnErrorOption = "raise",
    max_pixels: shared.MaxPixelsOption = None,
    model: shared.ModelOption = shared.DEFAULT_MODEL,
    detector: shared.DetectorOption = None,
    detector_size: shared.DetectorSizeOption = None,
    device: shared.DeviceOption = "auto",
    out: OutOption = None,
    plots: shared.PlotsOption = None,
    report: ReportOption = None,
    fail_under: FailUnderOption = None,
    output: shared.FormatOption = "table",
) -> None:
    """Evaluate a model on labeled face crops or annotated photos.

    Every metric comes with its 95 % confidence interval. Several DATA are
    compared with the first one. Their photos are evaluated on the annotated
    faces, without detection.

    Example: maskkit evaluate faces --split Validation --model model --plots plots

    Example: maskkit evaluate faces.csv --by camera --by light

    Example: maskkit evaluate faces --report html:report.html

    Example: maskkit evaluate photos --fail-under end_to_end_recall=0.8
    """
    from maskkit import evaluation
    from maskkit.reporters._base import report_to, resolve_reporters

    # Mistakes in the command line are found before anything is computed.
    limits = [_parse_limit(text) for text in fail_under or ()]
    specs = [f"json:{out}"] * (out is not None) + [f"plots:{plots}"] * (plots is not None) + (report or [])
    reporters = resolve_reporters(specs)
    outputs = [
        Path(folder) for folder in (model, *(getattr(reporter, "folder", None) for reporter in reporters)) if folder
    ]
    if len(data) > 1 or crops or robustness:
        check_no_detection("face crops and annotated faces", detector=detector, detector_size=detector_size)
    data_sets = _load_data_sets(data, split, on_error, crops=crops, robustness=robustness, outputs=outputs)
    detects = isinstance(data_sets, list) and not (crops or robustness)
    if not detects:
        check_no_detection("face crops and annotated faces", detector=detector, detector_size=detector_size)
    slices = {} if not by else _choose_columns(data_sets, by, are_sliced=not (detects or robustness))
    classifier = load_model(model, detector=detector, detector_size=detector_size, device=device)
    result: Report
    if detects:
        result = evaluation.evaluate_photos(classifier, data_sets)
    elif robustness:
        result = evaluation.evaluate_robustness(classifier, data_sets)
    else:
        result = evaluation.evaluate(classifier, data_sets, slices=slices)
    metrics = result.metrics()
    if unknown := [name for name, _ in limits if name not in metrics]:
        raise ValueError(f"--fail-under {', '.join(unknown)} is unknown; the metrics are {', '.join(metrics)}.")
    rows = [
        {"metric": name, "value": estimate.value, "low": estimate.low, "high": estimate.high, "n": estimate.n}
        for name, estimate in metrics.items()
    ]
    print_results(output, table=result, document=result.to_dict(), rows=rows)
    for written in report_to(_add_provenance(reporters, ctx, classifier), result):
        print_written(written)
    # A metric that is NaN counts as too low.
    failed = [f"{name} {metrics[name].value:.4f} < {limit:g}" for name, limit in limits
              if not metrics[name].value >= limit]  # fmt: skip
    if failed:
        raise ValueError(f"below the limit: {', '.join(failed)}")


def _load_data_sets(
    data: list[Path], split: str | None, on_error: Any, *, crops: bool, robustness: bool, outputs: list[Path]
) -> Any:
    if robustness and len(data) > 1:
        raise typer.BadParameter(f"takes one DATA, not {len(data)}; run it once for each", param_hint="--robustness")
    names = [path.resolve().name for path in data]
    # Folders of the same name, such as Validation, are distinguished by their paths.
    names = names if len(set(names)) == len(names) else list(map(str, data))
    if len(set(names)) < len(names):
        raise typer.BadParameter("contains the same path twice; pass different ones", param_hint="DATA")
    loaded = [load_data(path, on_error=on_error, outputs=outputs) for path in data]
    if all(isinstance(each, list) for each in loaded):
        check_no_split(split)
    elif crops and len(data) == 1 and not are_photos(loaded[0]):
        raise typer.BadParameter("is for annotated photos; DATA contains face crops", param_hint="--crops")
    chosen = {}
    for name, each in zip(names, loaded, strict=True):
        # Photos, and crops without splits, are all used.
        has_splits = not isinstance(each, list) and list(each.splits) != ["all"]
        chosen[name] = choose_split(each, split if has_splits else None)
    return chosen if len(data) > 1 else chosen[names[0]]


def _choose_columns(data_sets: Any, by: list[str], *, are_sliced: bool) -> dict[str, Any]:
    """Return the columns of a table by which faces are grouped; of several tables, those of each."""
    from maskkit._checks.columns import is_missing
    from maskkit.exceptions import DataError

    if type(data_sets) is dict:
        return {name: _choose_columns(data, by, are_sliced=are_sliced) for name, data in data_sets.items()}
    columns = data_sets.get("columns", {}) if are_sliced and not isinstance(data_sets, list) else None
    if columns is None:
        raise typer.BadParameter("is for face crops without --robustness", param_hint="--by")
    if unknown := [name for name in by if name not in columns]:
        known = f"its columns are {', '.join(columns)}" if columns else "only tables of face crops have columns"
        raise DataError(f"--by {unknown[0]}: DATA has no such column; {known}.")
    return {
        name: ["(empty)" if is_missing(value) or not str(value).strip() else value for value in columns[name]]
        for name in by
    }


def _add_provenance(reporters: "list[Reporter]", ctx: typer.Context, classifier: "MaskClassifier") -> "list[Reporter]":
    """Pass the command, without passwords in addresses of reporters, and the model to reporters that show them."""
    from maskkit.reporters import HtmlReporter

    for reporter in reporters:
        if isinstance(reporter, HtmlReporter):
            predictor = classifier.predictor_
            words = ["maskkit", *(hide_secrets(word) for word in ctx.obj or ())]
            provenance = {"command": shlex.join(words), "model": predictor.model_name}
            # A head that is no TransferHead has no hash.
            provenance |= {"model SHA-256": predictor.model_sha256} if predictor.model_sha256 else {}
            reporter.set_params(provenance=provenance)
    return reporters


def _parse_limit(text: str) -> tuple[str, float]:
    name, _, number = text.partition("=")
    try:
        limit = float(number)
        if not math.isfinite(limit):
            raise ValueError(f"{limit} is not a finite number")
        return name, limit
    except ValueError:
        raise typer.BadParameter(f"{text!r}: want METRIC=MIN, as in accuracy=0.98", param_hint="--fail-under") from None
