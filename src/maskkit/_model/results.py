"""Results of photos: faces with labels, to read, draw and save."""

import base64
import html
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from PIL import Image

from maskkit._display.drawing import blur_faces, draw_faces
from maskkit._display.tables import Table, to_html
from maskkit._files import outputs
from maskkit._images.crop import Box, crop_square
from maskkit._images.load import ImageSource, read_image
from maskkit._labels import INCORRECT, MASKED, meaning_of
from maskkit._model.decision import UNCERTAIN
from maskkit._model.result_rows import row_fields, rows_of
from maskkit._optional import require
from maskkit._text import MAX_LABEL_BYTES, MAX_STEM_BYTES, escape_text, shorten_name, to_json
from maskkit.exceptions import ImageError

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, slots=True)
class FaceResult:
    """A classified face.

    Attributes
    ----------
    box : tuple of 4 int
        Left, top, right, bottom in pixels of the upright photo; right and bottom exclusive.
    detection_score : float
        Confidence of the detector that this is a face. Detectors differ in their scale.
    label : str or int
        The most probable class.
    probability : float
        Probability of `label`, range 0 to 1.
    probabilities : dict
        Probability of every class; they sum to 1.
    landmarks : tuple of (x, y) or None
        Landmarks in pixels, if the detector returns them: left eye, right eye, nose, left and right corner of the
        mouth, as seen in the photo.
    reasons : tuple of str
        Reasons why the decision is ``"uncertain"``: ``"too_small"``, ``"low_probability"``, and ``"not_a_face"`` if a
        calibrated model has seen no faces like this; empty otherwise.
    """

    box: Box
    detection_score: float
    label: Any
    probability: float
    probabilities: Mapping[Any, float] = field(hash=False)
    landmarks: tuple[tuple[float, float], ...] | None = None
    reasons: tuple[str, ...] = ()

    @property
    def decision(self) -> Any:
        """The label, or ``"uncertain"`` if there are reasons."""
        return UNCERTAIN if self.reasons else self.label

    @property
    def size_px(self) -> int:
        """Longer side of the box, in pixels."""
        left, top, right, bottom = self.box
        return max(right - left, bottom - top)

    @property
    def nose_and_mouth_covered(self) -> bool | None:
        """Whether a mask covers both nose and mouth.

        None if the decision is uncertain, or if the model has no class of incorrectly worn masks, because a model of
        two classes may call a mask under the nose either.
        """
        meanings = {meaning_of(label) for label in self.probabilities}
        if self.reasons or INCORRECT not in meanings or None in meanings:
            return None
        return meaning_of(self.label) == MASKED

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values that JSON can hold."""
        return {
            "box": list(self.box),
            "detection_score": self.detection_score,
            "label": self.label,
            "probability": self.probability,
            "probabilities": {str(label): value for label, value in self.probabilities.items()},
            "decision": self.decision,
            "reasons": list(self.reasons),
            "nose_and_mouth_covered": self.nose_and_mouth_covered,
            "size_px": self.size_px,
            "landmarks": None if self.landmarks is None else [list(point) for point in self.landmarks],
        }

    def _repr_html_(self) -> str:
        doubt = f" ({', '.join(self.reasons)})" if self.reasons else ""
        left, top, right, bottom = self.box
        place = f"{self.size_px} px, from ({left}, {top}) to ({right}, {bottom})"
        rows = tuple((str(label), value) for label, value in self.probabilities.items())
        return to_html(Table(f"{self.decision}{doubt}", ("class", "probability"), rows, place))


@dataclass(frozen=True, repr=False, eq=False)
class PhotoResult(Sequence[FaceResult]):
    """The faces of one photo, largest first; a sequence of `FaceResult`.

    Attributes
    ----------
    faces : tuple of FaceResult
        Faces sorted by area, largest first.
    source : image
        The photo as it was passed. It is read again when it is drawn, which keeps results small.
    name : str
        Path, or form and position of the source.
    size : tuple of (int, int) or None
        Width and height of the upright photo, in pixels; None if unreadable.
    status : {"ok", "no_face", "unreadable"}
        Status of the photo.
    error : str or None
        Reason why the photo is unreadable.
    speed_ms : dict
        Milliseconds for ``read``, ``detect`` and ``classify``; the latter two are shares of the time of several photos.
    notes : tuple of str
        What the reading of the photo left out or assumed, such as further pages; also an `ImageWarning`.
    model, detector : str
        Names of the model and the detector.
    left_out : tuple of boxes
        Boxes of smaller faces that `max_faces` left out. They are not classified, but blurred in pictures.
    model_sha256 : str or None
        SHA-256 of the model's weights, preprocessing and classes. A saved and loaded model keeps it, except with
        ``half=True``; `fit` and `calibrate` change it. None if the head is not a `TransferHead`.
    """

    faces: tuple[FaceResult, ...]
    source: ImageSource
    name: str
    size: tuple[int, int] | None
    model: str
    detector: str
    error: str | None = None
    speed_ms: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    left_out: tuple[Box, ...] = ()
    model_sha256: str | None = None

    @property
    def status(self) -> Literal["ok", "no_face", "unreadable"]:
        """Status of the photo."""
        if self.error is not None:
            return "unreadable"
        return "ok" if self.faces else "no_face"

    def __len__(self) -> int:
        return len(self.faces)

    @overload
    def __getitem__(self, index: int) -> FaceResult: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[FaceResult, ...]: ...
    def __getitem__(self, index: int | slice) -> FaceResult | tuple[FaceResult, ...]:
        return self.faces[index]

    def __repr__(self) -> str:
        return f"<PhotoResult {escape_text(self.name)}: {self._count()}>"

    @overload
    def summary(self) -> dict[Any, int]: ...
    @overload
    def summary(self, *, required: Any) -> dict[str, Any]: ...
    def summary(self, *, required: Any = None) -> dict[Any, Any]:
        """Count the faces by decision, most frequent first; or list the faces without a required class.

        Parameters
        ----------
        required : class or list of classes, optional
            Class that every face should have, such as ``"with_mask"``; or classes of which each face should have one.

        Returns
        -------
        summary : dict
            The counts. With `required`: the lists ``"with"``, ``"without"`` and ``"uncertain"`` of faces, each with its
            number from 1, its box and its decision; and ``"all_comply"``: False if a face is without, True if every
            face is with, and None if that is not known, because faces are uncertain or left out, or none was found.

        Raises
        ------
        ValueError
            If a required class is not a class of the model.
        """
        if required is None:
            return dict(Counter(face.decision for face in self.faces).most_common())
        classes = list(required) if isinstance(required, (list, tuple, set)) else [required]
        known = list(self.faces[0].probabilities) if self.faces else classes
        if not classes or not set(classes) <= set(known):
            raise ValueError(f"required={classes!r} are not classes of the model; want some of {known!r}.")
        listed: dict[str, Any] = {"required": classes, "with": [], "without": [], "uncertain": []}
        for number, face in enumerate(self.faces, 1):
            group = "uncertain" if face.reasons else "with" if face.label in classes else "without"
            listed[group].append({"face": number, "box": list(face.box), "decision": face.decision})
        is_open = listed["uncertain"] or self.left_out or not self.faces
        return {**listed, "all_comply": False if listed["without"] else None if is_open else True}

    def draw(self, *, blur: bool = False) -> Image.Image:
        """Draw boxes and labels over the photo.

        Parameters
        ----------
        blur : bool, default=False
            Whether to make the detected faces unrecognizable. A face that the detector did not find stays sharp.

        Returns
        -------
        picture : PIL.Image.Image
            RGB, upright, without metadata.

        Raises
        ------
        ImageError
            If the photo can no longer be read.
        """
        picture = Image.fromarray(read_image(self.source, name=self.name)[0])
        boxes = [face.box for face in self.faces]
        if blur:
            picture = blur_faces(picture, [*boxes, *self.left_out])
        classes = list(self.faces[0].probabilities) if self.faces else []
        return draw_faces(picture, boxes, [(face.decision, face.probability) for face in self.faces], classes)

    def save(self, path: str | os.PathLike[str], *, blur: bool = False) -> Path:
        """Save the drawn photo in the format of the file extension; return the path.

        With `blur`, a face that the detector did not find stays sharp.

        Raises OutputError if the file exists: no file is replaced, least of all the photo itself.
        """
        outputs.check_picture_format(outputs.check_new(path))
        return outputs.save_picture(self.draw(blur=blur), path)

    def save_crops(self, folder: str | os.PathLike[str], *, stem: str | None = None) -> list[Path]:
        """Save each face as ``STEM-NUMBER-DECISION.png`` in a folder, by default with the stem of the photo.

        No file is replaced: if a name is taken, the stem gets a number, as in ``street-2-1-with_mask.png``. A long stem
        is shortened.
        """
        folder = outputs.check_output_folder(folder)
        if not self.faces:
            return []
        image = read_image(self.source, name=self.name)[0]
        if stem is None:
            stem = Path(self.name).stem if isinstance(self.source, (str, os.PathLike)) else "photo"
        stem = shorten_name(stem, MAX_STEM_BYTES)
        crops = {}
        for number, face in enumerate(self.faces, 1):
            label = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in str(face.decision))
            ending = f"-{number}-{shorten_name(label, MAX_LABEL_BYTES)}.png"
            crops[stem, ending] = outputs.encode_picture(Image.fromarray(crop_square(image, face.box)), ending)
        return outputs.create_numbered(folder, crops)

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the picture as plain values that JSON can hold.

        ``schema_version`` is raised when a field is removed or changes its meaning. ``maskkit_version`` is the version
        of maskkit that computed the result.
        """
        return {
            "schema_version": SCHEMA_VERSION,
            "source": self.name,
            "size": None if self.size is None else list(self.size),
            "status": self.status,
            "error": self.error,
            "notes": list(self.notes),
            "summary": {str(label): count for label, count in self.summary().items()},
            "faces": [{"face": number, **face.to_dict()} for number, face in enumerate(self.faces, 1)],
            "left_out": [list(box) for box in self.left_out],
            "speed_ms": dict(self.speed_ms),
            "model": self.model,
            "model_sha256": self.model_sha256,
            "detector": self.detector,
            "maskkit_version": MASKKIT_VERSION,
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """Return `to_dict` as JSON text."""
        return to_json(self.to_dict(), indent=indent)

    def to_dataframe(self) -> "DataFrame":
        """Return a pandas DataFrame with one row per face, or one with the status alone; requires the extra ``pandas``.

        Raises
        ------
        MissingLibraryError
            If pandas is not installed.
        """
        classes = list(self.faces[0].probabilities) if self.faces else []
        return require("pandas", "pandas").DataFrame(rows_of(self, classes), columns=list(row_fields(classes)))

    def table(self) -> Table:
        """Return a table with one row per face, numbered from 1 as in the drawn photo."""
        has_reasons = any(face.reasons for face in self.faces)
        rows = tuple(
            (
                number,
                str(face.decision),
                *((" ".join(face.reasons),) if has_reasons else ()),
                face.probability,
                face.detection_score,
                " ".join(map(str, face.box)),
                face.size_px,
            )
            for number, face in enumerate(self.faces, 1)
        )
        reasons = ("reasons",) if has_reasons else ()
        columns = ("face", "decision", *reasons, "probability", "detection score", "box", "size, px")
        return Table(self.name, columns, rows, f"{self._count()}. {COLUMNS_NOTE}")

    def _count(self) -> str:
        """Return the counts of decisions, or the status."""
        counts = ", ".join(f"{count} {label}" for label, count in self.summary().items())
        return counts or self.status.replace("_", " ")

    def __rich__(self) -> Any:
        from rich.text import Text

        # The blank line separates several photos.
        return self.table() if self.faces else Text(escape_text(f"{self.name}: {self._count()}") + "\n")

    def _repr_html_(self) -> str:
        shown = "" if self.error is not None else self._picture_html()
        text = html.escape(escape_text(self.error or f"{self.name}: {self._count()}"))
        about = to_html(self.table()) if self.faces else f"<p>{text}</p>"
        return f'<div style="{_SIDE_BY_SIDE}">{shown}<div style="{_SCROLLING}">{about}</div></div>'

    def _picture_html(self) -> str:
        try:
            picture = self.draw()
        except ImageError as exc:  # The photo was removed meanwhile, but its results remain.
            return f"<p>{html.escape(str(exc))}</p>"
        picture.thumbnail((_SHOWN_PX, _SHOWN_PX))
        data = base64.b64encode(outputs.encode_picture(picture, "photo.jpg", quality=90)).decode()
        alt = html.escape(escape_text(f"{self.name}: {self._count()}"), quote=True)
        return f'<img src="data:image/jpeg;base64,{data}" alt="{alt}" style="max-width: min(100%, {_SHOWN_PX}px)">'


COLUMNS_NOTE = (
    "probability: of the most probable class. detection score: the detector's confidence that this is a face. "
    "box: left, top, right, bottom in pixels of the upright photo. size: longer side of the box."
)
"""Explanation of the columns of a table of faces."""

# In notebooks: the longer side of a photo, with its table beside it, or below it if there is no room.
_SHOWN_PX = 640
_SIDE_BY_SIDE = "display: flex; flex-wrap: wrap; gap: 1em; align-items: flex-start"
_SCROLLING = f"max-width: 100%; max-height: {_SHOWN_PX}px; overflow: auto"

SCHEMA_VERSION = 1
"""Version of the fields of `PhotoResult.to_dict`: raised when a field is removed or changes its meaning."""

MASKKIT_VERSION = version("maskkit")
