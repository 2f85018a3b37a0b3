"""maskkit review."""

import glob
import secrets
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maskkit._text import escape_text
from maskkit.cli import _options as shared
from maskkit.cli._inputs import are_photos, find_images, has_annotations, load_data, load_model
from maskkit.cli._options import DATA_GROUP, OUTPUT_GROUP, option, out_option
from maskkit.cli._outputs import check_model_folder
from maskkit.cli.serve import AllowHostOption, HostOption, PortOption
from maskkit.cli.train import FineTuneOption

if TYPE_CHECKING:
    from maskkit import MaskClassifier
    from maskkit.review import Face, LabelFile

DataArgument = Annotated[
    Path,
    typer.Argument(
        help=f"{shared.DATA_HELP} Or a folder of photos without annotations, or of unlabeled crops with --crops.",
        metavar="DATA",
    ),
]
LabelsOption = Annotated[
    Path, option("FILE", "Table to write the answers to (.csv); a review goes on with those in it.", OUTPUT_GROUP)
]
TeachOutOption = Annotated[
    Path | None, out_option("DIR", "Folder of the model that Teach writes. By default one beside the answers.")
]
LimitOption = Annotated[
    int | None, option("N", "Show at most N unanswered faces, those that matter most.", DATA_GROUP, min=1)
]


def review(
    data: DataArgument,
    labels: LabelsOption = Path("labels.csv"),
    crops: shared.CropsOption = False,
    limit: LimitOption = None,
    max_pixels: shared.MaxPixelsOption = None,
    model: shared.ModelOption = shared.DEFAULT_MODEL,
    detector: shared.DetectorOption = None,
    detector_size: shared.DetectorSizeOption = None,
    device: shared.DeviceOption = "auto",
    fine_tune: FineTuneOption = None,
    out: TeachOutOption = None,
    host: HostOption = "127.0.0.1",
    port: PortOption = 8001,
    allow_host: AllowHostOption = None,
) -> None:
    r"""Correct labels of faces on a web page.

    Faces come in the order in which answers matter: probable label errors,
    confident mistakes, uncertain faces, the rest. Answers go at once to a table
    that train and evaluate read, and the page can train the model on them. No
    picture is moved or changed.
    Requires pip install 'maskkit\[review]'.

    Example: maskkit review faces --model model

    Example: maskkit review photos/ --labels answers.csv --limit 500
    """
    from maskkit.review import Teacher, create_app
    from maskkit.web._guard import parse_host
    from maskkit.web._server import bind, make_server, url_of

    hosts = [parse_host(name) for name in allow_host or ()]
    if out is not None:
        check_model_folder(out, overwrite=False)
    # The port is bound before the model is loaded, so that an address in use is reported at once.
    with bind(host, port) as listening:
        classifier = load_model(model, detector=detector, detector_size=detector_size, device=device)
        answers, faces = _load_faces(data, classifier, labels, are_crops=crops)
        queue = _make_queue(faces, classifier, answers, limit)
        teacher = Teacher(classifier, answers, out=out, fine_tune=fine_tune)
        # Nobody else on this machine or in the network sees the faces: the address holds a secret.
        token = secrets.token_urlsafe(24)
        app = create_app(
            queue, answers, teacher, classes=[str(label) for label in classifier.classes_], token=token, hosts=hosts
        )
        server = make_server(
            app,
            seconds=60,
            on_start=lambda: typer.echo(f"open {url_of(listening)}#{token} (press Ctrl-C to stop)"),
        )
        with suppress(KeyboardInterrupt):
            server.run(sockets=[listening])
        typer.echo(escape_text(f"answers: {answers.path}"), err=True)


def _load_faces(
    data: Path, classifier: "MaskClassifier", labels: Path, *, are_crops: bool
) -> tuple["LabelFile", list["Face"]]:
    """Return the file of answers and the faces of DATA, whichever form it has, and print what was found."""
    from maskkit.review import LabelFile, detect_faces, list_annotated_faces, list_crops

    # Models of earlier trainings may lie in DATA, if the answers do, and are no class folders.
    models = list(labels.parent.glob(f"{glob.escape(labels.stem)}-model*"))
    if not _has_labels(data, classifier.classes_.tolist()):
        images = find_images([str(data)], outputs=models)
        file = LabelFile(labels, has_boxes=not are_crops)
        faces = list_crops(images) if are_crops else detect_faces(images, classifier.predictor_, _track)
        kind = "crops without labels" if are_crops else f"faces found in {len(images):,} photos without annotations"
    else:
        loaded = load_data(data, outputs=models)
        splits: list[Any] = [loaded] if isinstance(loaded, list) else list(loaded.splits.values())
        if are_photos(loaded):
            if are_crops:
                raise typer.BadParameter("DATA contains annotated photos, not crops", param_hint="--crops")
            file = LabelFile(labels, has_boxes=True)
            faces = list_annotated_faces([photo for split in splits for photo in split])
            kind = "annotated faces"
        else:
            file = LabelFile(labels, has_boxes=False)
            paths, given = ([each for split in splits for each in split[key]] for key in ("paths", "labels"))
            faces, kind = list_crops(paths, [str(label) for label in given]), "labeled crops"
    typer.echo(f"{len(faces):,} {kind}", err=True)
    return file, faces


def _has_labels(data: Path, classes: list[Any]) -> bool:
    """Return whether DATA has annotations or class folders, one of which at least is a class of the model."""
    from maskkit._labels import match_labels

    if not data.is_dir() or has_annotations(data):
        return True
    folders = [path.name for pattern in ("*/", "*/*/") for path in data.glob(pattern)]
    return bool(match_labels(folders, classes))


def _make_queue(faces: list["Face"], classifier: "MaskClassifier", answers: "LabelFile", limit: int | None) -> Any:
    """Return the faces in the order of review: those that are answered, and at most so many others."""
    from maskkit.review import match_answers, order_faces

    answered = answers.read()
    queue = order_faces(match_answers(faces, answered), classifier.predictor_, _track)
    if limit is None:
        return queue
    n_open = 0
    kept = []
    for queued in queue:
        n_open += queued.face.key not in answered
        if queued.face.key in answered or n_open <= limit:
            kept.append(queued)
    return kept


def _track(items: Iterable[Any], description: str, total: int) -> Iterable[Any]:
    """Show progress on standard error while items are taken."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(items, description, total, console=console, transient=True, disable=not console.is_terminal)
