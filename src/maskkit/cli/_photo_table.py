"""Printing of the faces of many photos, photo by photo."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from maskkit._model.decision import UNCERTAIN
from maskkit._model.result_rows import row_fields, rows_of
from maskkit._text import escape_text
from maskkit.cli._options import Format
from maskkit.cli._outputs import print_each

if TYPE_CHECKING:
    from maskkit import FaceResult, PhotoResult


class PhotoTable:
    """Prints photos in one layout: the columns do not depend on the photo, so that each is printed when it is done."""

    def __init__(self, classes: Iterable[Any]):
        self._console = Console(highlight=False)
        self._width = max(len(str(name)) for name in (*classes, UNCERTAIN, "decision"))
        self._statuses: Counter[str] = Counter()
        self._decisions: Counter[Any] = Counter()

    def show(self, photo: "PhotoResult") -> None:
        """Print the name of a photo, the counts of its decisions, and a row per face."""
        if not self._statuses:
            self._print(self._row("face", "decision", "probability", "score", "box", "size, px"), "bold")
        self._statuses[photo.status] += 1
        self._decisions.update(photo.summary())
        self._print(f"{escape_text(photo.name)}: {_count(photo.summary()) or photo.status.replace('_', ' ')}", "bold")
        for note in photo.notes:
            self._print(f"{'':8}{note}")
        for number, face in enumerate(photo.faces, 1):
            self._print_face(number, face)

    def finish(self) -> None:
        """Print the total of several photos, and what the columns mean."""
        n_photos, n_faces = self._statuses.total(), self._decisions.total()
        if n_photos > 1:
            parts = [f"{n_photos:,} photos", f"{n_faces:,} face{'s' if n_faces != 1 else ''}"]
            parts += [
                f"{self._statuses[status]:,} {name}"
                for status, name in (("no_face", "without a face"), ("unreadable", "unreadable"))
                if self._statuses[status]
            ]
            counts = f": {_count(dict(self._decisions.most_common()))}" if n_faces else ""
            self._print(f"\nTotal: {', '.join(parts)}{counts}", "bold")
        if n_faces:
            # Short lines, which fit a terminal of 80 columns.
            self._print(
                "\nprobability: of the most probable class; score: confidence of the detector that\n"
                "this is a face; box: left, top, right, bottom in pixels of the upright photo;\n"
                "size: longer side of the box; behind it the reasons of an uncertain decision",
                "dim",
            )

    def _print_face(self, number: int, face: "FaceResult") -> None:
        box = " ".join(map(str, face.box))
        scores = (f"{face.probability:.3f}", f"{face.detection_score:.3f}")
        row = self._row(str(number), str(face.decision), *scores, box, str(face.size_px))
        reasons = " ".join(face.reasons)
        if reasons and len(row) + len(reasons) + 2 > self._console.width:
            self._print(f"{row}\n{'':8}{reasons}")
        else:
            self._print(f"{row}  {reasons}")

    def _row(self, face: str, decision: str, probability: str, score: str, box: str, size: str) -> str:
        return f"{face:>6}  {decision:<{self._width}}  {probability:>11}  {score:>5}  {box:<19}  {size:>8}"

    def _print(self, text: str, style: str = "") -> None:
        self._console.print(Text(escape_text(text.rstrip(), keep="\n"), style=style, overflow="fold"))


def print_photos(output: Format, photos: Iterable["PhotoResult"], classes: Sequence[Any]) -> None:
    """Print the results of photos in the requested format, each as soon as it is computed."""
    table = PhotoTable(classes)
    print_each(
        output,
        photos,
        show=table.show,
        to_document=lambda photo: photo.to_dict(),
        to_rows=lambda photo: rows_of(photo, classes),
        fields=row_fields(classes),
    )
    if output == "table":
        table.finish()


def _count(decisions: dict[Any, int]) -> str:
    return ", ".join(f"{count:,} {decision}" for decision, count in decisions.items())
