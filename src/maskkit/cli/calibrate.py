"""maskkit calibrate."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maskkit.cli import _options as shared
from maskkit.cli._inputs import choose_split, load_data, load_model
from maskkit.cli._options import DATA_HELP, MODEL_GROUP, option, out_option
from maskkit.cli._outputs import check_model_folder, print_results, print_written

if TYPE_CHECKING:
    from maskkit import MaskClassifier

# Metrics that are printed, with their names for people.
_METRICS = {
    "threshold": "threshold",
    "accuracy": "accuracy",
    "ece": "calibration error (ECE)",
    "rms_calibration_error": "calibration error, debiased",
    "brier": "Brier score",
    "decided": "decided, of all faces",
    "precision_of_decided": "correct, of the decided",
}

Half = tuple[Any, Any]

DataArgument = Annotated[Path, typer.Argument(help=f"{DATA_HELP} The model was not trained on them.", metavar="DATA")]
PrecisionOption = Annotated[
    float | None,
    option(
        "P", "Choose the threshold at which this fraction of the decided faces is correct.", MODEL_GROUP, min=0, max=1
    ),
]
CostOption = Annotated[
    float | None,
    option(
        "COST",
        "Choose the threshold of the least cost, if an uncertain decision costs this and a wrong one 1.",
        MODEL_GROUP,
        min=0,
        max=1,
    ),
]


def calibrate(
    data: DataArgument,
    out: Annotated[Path, out_option("DIR", "Folder to write the calibrated model to.")],
    split: shared.SplitOption = None,
    on_error: shared.OnErrorOption = "raise",
    max_pixels: shared.MaxPixelsOption = None,
    seed: shared.SeedOption = 0,
    model: shared.ModelOption = shared.DEFAULT_MODEL,
    precision: PrecisionOption = None,
    uncertain_cost: CostOption = None,
    device: shared.DeviceOption = "auto",
    half: shared.HalfOption = False,
    overwrite: shared.OverwriteOption = False,
    output: shared.FormatOption = "table",
) -> None:
    """Calibrate probabilities, and choose a threshold.

    Half of the faces, drawn at random, fit the temperature and the threshold.
    The other half measures both models, because figures on the same faces would
    flatter. Photos are divided as wholes. Classes do not change.

    Example: maskkit calibrate faces --out calibrated --precision 0.99
    """
    from maskkit import evaluate

    if precision is not None and uncertain_cost is not None:
        raise typer.BadParameter("give either this or --precision", param_hint="--uncertain-cost")
    check_model_folder(out, overwrite=overwrite)
    faces = choose_split(load_data(data, on_error=on_error, outputs=[out, Path(model)]), split)
    fitted, measured = _divide(faces, seed)
    classifier = load_model(model, device=device)
    before = evaluate(classifier, *measured).metrics() | _count_decided(classifier, measured)
    n_fitted = len(classifier._predict_known(*fitted)[0])
    classifier.calibrate(*fitted)
    if precision is not None or uncertain_cost is not None:
        chosen = classifier.choose_threshold(*fitted, precision=precision, uncertain_cost=uncertain_cost)
        classifier.set_params(threshold=chosen)
    evaluation = evaluate(classifier, *measured)
    after = evaluation.metrics() | _count_decided(classifier, measured)
    name = f"{data.resolve().name}, the half that was not used for calibration"
    classifier.save(os.fspath(out), half=half, evaluation={name: evaluation})
    _print(output, f"{classifier.model_name_} on {data}", n_fitted, {
        "before": {metric: before[metric] for metric in _METRICS},
        "after": {metric: after[metric] for metric in _METRICS},
    })  # fmt: skip
    print_written(out)


def _divide(faces: Any, seed: int) -> tuple[Half, Half]:
    """Return the images and labels of two halves: of photos, of groups, or of the faces of each class."""
    from sklearn.model_selection import GroupShuffleSplit, train_test_split

    from maskkit.exceptions import DataError

    try:
        if not hasattr(faces, "labels"):
            first, second = train_test_split(list(faces), test_size=0.5, random_state=seed)
            return (first, None), (second, None)
        rows = range(len(faces.paths))
        if faces.get("groups") is not None:
            splitter = GroupShuffleSplit(n_splits=1, test_size=0.5, random_state=seed)
            halves = next(splitter.split(rows, groups=faces.groups))
        else:
            halves = train_test_split(rows, test_size=0.5, random_state=seed, stratify=faces.labels)
    except ValueError as exc:
        raise DataError(f"DATA cannot be divided ({exc}); want two photos, or two faces per class.") from exc
    first, second = (([faces.paths[row] for row in half], [faces.labels[row] for row in half]) for half in halves)
    return first, second


def _count_decided(classifier: "MaskClassifier", measured: Half) -> dict[str, Any]:
    """Return the threshold, the fraction of faces that reach it, and of these the fraction that is correct."""
    from maskkit._metrics.scores import wilson

    proba, targets, _ = classifier._predict_known(*measured)
    is_decided = proba.max(axis=1) >= classifier.threshold
    is_correct = proba.argmax(axis=1) == targets
    return {
        "threshold": classifier.threshold,
        "decided": wilson(is_decided.sum(), len(proba)),
        "precision_of_decided": wilson((is_decided & is_correct).sum(), is_decided.sum()),
    }


def _print(output: Any, title: str, n_fitted: int, found: dict[str, dict[str, Any]]) -> None:
    from maskkit._display.tables import Table, to_plain

    before, after = found.values()
    n_measured = before["decided"].n
    note = (
        f"Fitted on {n_fitted:,} faces, measured on {n_measured:,} others; 95 % intervals. "
        "Faces that are not decided are uncertain, because their probability is below the threshold."
    )
    rows = [(meaning, before[metric], after[metric]) for metric, meaning in _METRICS.items()]
    print_results(
        output,
        table=Table(title, ("metric", "before", "after"), tuple(rows), note),
        document=to_plain({"n_fitted": n_fitted, "n_measured": n_measured, **found}),
        rows=[
            {"model": when, "metric": metric, "value": value, "low": None, "high": None, "n": None}
            | (value if isinstance(value, dict) else {})
            for when, values in to_plain(found).items()
            for metric, value in values.items()
        ],
    )
