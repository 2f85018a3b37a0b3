"""maskkit explain."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from maskkit._display.tables import format_percent
from maskkit._text import escape_text
from maskkit.cli import _options as shared
from maskkit.cli._inputs import check_no_detection, find_images, load_model
from maskkit.cli._options import MODEL_GROUP, check_folder, option, out_option
from maskkit.cli._outputs import Stems, print_each, print_written

if TYPE_CHECKING:
    from maskkit import MaskClassifier


def explain(
    sources: shared.PhotosArgument,
    crops: shared.CropsOption = False,
    model: shared.ModelOption = shared.DEFAULT_MODEL,
    label: Annotated[
        str | None, option("CLASS", "Class to explain instead of the predicted class of each face.", MODEL_GROUP)
    ] = None,
    detector: shared.DetectorOption = None,
    detector_size: shared.DetectorSizeOption = None,
    device: shared.DeviceOption = "auto",
    max_pixels: shared.MaxPixelsOption = None,
    out: Annotated[Path, out_option("DIR", "Folder to write to.", callback=check_folder)] = Path("explained"),
    output: shared.FormatOption = "table",
) -> None:
    """Draw heat maps of the pixels that predictions depend on.

    Each photo becomes one picture with a Grad-CAM heat map over each face.

    Example: maskkit explain street.jpg --out explained

    Example: maskkit explain faces/Validation --crops --label without_mask
    """
    if crops:
        check_no_detection("crops of one face each", detector=detector, detector_size=detector_size)
    classifier = load_model(model, detector=detector, detector_size=detector_size, device=device)
    explain_images = _explain_crops if crops else _explain_photos
    paths = find_images(sources, outputs=[out])
    stems = Stems(out)
    unreadable: list[str] = []

    def rows() -> Iterator[dict[str, Any]]:
        # An unreadable photo does not end the run; all of them are reported at the end.
        for source, explained, explanation in explain_images(classifier, paths, label, unreadable):
            written = None if explanation is None else str(stems.save(source, out, explanation.save))
            yield {"source": source, "explained": explained, "written": written}

    def show(row: dict[str, Any]) -> None:
        print(escape_text(f"{row['source']}: {row['explained']}"))
        if row["written"]:
            print_written(row["written"])

    print_each(output, rows(), show=show, fields=("source", "explained", "written"))
    if unreadable:
        raise ValueError(f"{len(unreadable)} of the images could not be read: {' '.join(unreadable)}")


def _explain_photos(
    classifier: "MaskClassifier", paths: list[Path], label: str | None, unreadable: list[str]
) -> Iterator[tuple[str, str, Any]]:
    """Iterate over names, counts and explanations (None without a face); append the errors of unreadable photos."""
    from maskkit import explain_faces
    from maskkit.exceptions import ImageError

    for photo in classifier.predict_photos(paths):
        if photo.error is not None:
            unreadable.append(photo.error)
            continue
        counts = ", ".join(f"{count} {name}" for name, count in photo.summary().items())
        try:
            explained = explain_faces(classifier, photo, label=label)
        except ImageError as exc:  # It was removed meanwhile.
            unreadable.append(str(exc))
        else:
            yield photo.name, counts or "no face", explained or None


def _explain_crops(
    classifier: "MaskClassifier", paths: list[Path], label: str | None, unreadable: list[str]
) -> Iterator[tuple[str, str, Any]]:
    """Iterate over names, labels and explanations; append the errors of unreadable face crops."""
    from maskkit import explain
    from maskkit.exceptions import ImageError

    for path in paths:
        try:
            face = explain(classifier, path, label=label)
        except ImageError as exc:
            unreadable.append(str(exc))
        else:
            yield str(path), f"{face.label} {format_percent(face.probability)}", face
