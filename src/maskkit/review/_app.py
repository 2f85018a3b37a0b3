"""The web application of a review: the page, the faces, their pictures and the answers."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Annotated, Any

from fastapi import Body, FastAPI
from fastapi.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles

from maskkit import web
from maskkit._labels import GRAY, INCORRECT, MASKED, UNMASKED, color_of, meaning_of
from maskkit.exceptions import ImageError, MaskkitError
from maskkit.review._labels import NOT_A_FACE, SKIPPED, LabelFile, sort_classes
from maskkit.review._pictures import Pictures
from maskkit.review._queue import QueuedFace
from maskkit.review._teach import Teacher
from maskkit.web._errors import ApiError, InternalErrorHandler, add_exception_handlers
from maskkit.web._guard import Guard, SecurityHeaders, check_token, parse_host
from maskkit.web._request_form import NormalizeRequest

_STATIC = Path(__file__).parent / "static"

# Key that answers with a class, by its meaning; the digits in their order work, too.
_LETTERS = {MASKED: "w", UNMASKED: "o", INCORRECT: "i"}
# The class for incorrectly worn masks that a model without it learns, under the name that the bundled model has.
_INCORRECT_CLASS = "mask_worn_incorrectly"


def create_app(
    queue: Sequence[QueuedFace],
    labels: LabelFile,
    teacher: Teacher,
    *,
    classes: Sequence[str],
    token: str,
    hosts: Collection[str] = (),
) -> FastAPI:
    """Create the web application of a review.

    Parameters
    ----------
    queue : sequence of QueuedFace
        The faces in the order of review, from `order_faces`.
    labels : LabelFile
        The file of answers.
    teacher : Teacher
        What trains the model on the answers.
    classes : sequence of str
        Classes of the model.
    token : str
        Bearer token that requests must send. The page takes it from the part of its address after ``#``.
    hosts : collection of str
        Additional allowed Host headers, as of `maskkit.web.create_app`.

    Returns
    -------
    app : FastAPI
        An ASGI application.

    Raises
    ------
    ValueError
        If the token is empty or has characters that headers cannot carry, or a host is not a name.
    """
    check_token(token)
    review = _Review(queue, labels, teacher, classes)
    app = FastAPI(
        title="maskkit review",
        openapi_url=None,
        redirect_slashes=False,
        # FastAPI would send request paths to the collector that the environment names.
        telemetry={"auto_configure": False, "tracing": False, "metrics": False, "logs": False},
    )
    routes: list[tuple[str, Callable[..., Any], str]] = [
        ("/", _page, "GET"),
        ("/v1/faces", review.faces, "GET"),
        ("/v1/answers", review.answers, "GET"),
        ("/v1/answers", review.answer, "POST"),
        ("/v1/faces/{index}/thumbnail", review.thumbnail, "GET"),
        ("/v1/faces/{index}/picture", review.picture, "GET"),
        ("/v1/teaching", review.teaching, "GET"),
        ("/v1/teaching", review.teach, "POST"),
    ]
    for path, function, method in routes:
        app.add_api_route(path, function, methods=[method], response_model=None)
    app.mount("/static/review", StaticFiles(directory=_STATIC), name="review")
    app.mount("/static", StaticFiles(directory=Path(web.__file__).parent / "static"), name="static")
    add_exception_handlers(app)
    app.add_middleware(InternalErrorHandler)
    app.add_middleware(Guard, token=token, hosts=[parse_host(host) for host in hosts])
    app.add_middleware(SecurityHeaders)
    app.add_middleware(NormalizeRequest)
    return app


class _Review:
    """The routes, and the state that they share. Faces are addressed by their index in the queue, never by a path."""

    def __init__(
        self, queue: Sequence[QueuedFace], labels: LabelFile, teacher: Teacher, classes: Sequence[str]
    ) -> None:
        self.queue, self.labels, self.teacher = queue, labels, teacher
        self.pictures = Pictures()
        self.choices = list_choices(classes)
        self.groups = {queued.face.key.path: queued.face.group for queued in queue}

    def faces(self) -> dict[str, Any]:
        """Return all faces, and the answers that can be given."""
        return {
            "labels": self.labels.path.name,
            "choices": self.choices,
            "faces": [
                {
                    "reason": queued.reason,
                    "text": queued.text,
                    "name": queued.face.key.path.name,
                    "predicted": queued.predicted,
                }
                for queued in self.queue
            ],
            "answers": self.answers(),
        }

    def answers(self) -> dict[int, str]:
        """Return the answers of the file by index of the face."""
        try:
            known = self.labels.read()
        except MaskkitError as exc:
            raise _not_written(exc) from exc
        return self._index(known)

    def answer(self, answers: Annotated[dict[int, str | None], Body(embed=True)]) -> dict[str, int]:
        """Write answers, by index of the face; None removes one. Return the number of rows of the file."""
        known = {choice["answer"] for choice in self.choices}
        for index, answer in answers.items():
            self._find(index)
            if answer is not None and answer not in known:
                raise ApiError(422, "unknown_answer", f"{answer!r} is no answer; want {', '.join(sorted(known))}.")
        try:
            written = self.labels.write({self._find(i).face.key: answer for i, answer in answers.items()}, self.groups)
        except (MaskkitError, OSError) as exc:
            raise _not_written(exc) from exc
        return {"n_rows": len(written)}

    def thumbnail(self, index: int) -> Response:
        """Return a small picture of a face."""
        return self._picture(index, self.pictures.thumbnail)

    def picture(self, index: int) -> Response:
        """Return a picture of a face and what is around it."""
        return self._picture(index, self.pictures.picture)

    def teaching(self) -> dict[str, Any]:
        """Return the state of the training, and its figures."""
        try:
            return self.teacher.status()
        except MaskkitError as exc:
            raise _not_written(exc) from exc

    def teach(self, run: Annotated[bool, Body(embed=True)]) -> dict[str, Any]:
        """Start a training, or stop it."""
        if not run:
            self.teacher.stop()
        elif not self.teacher.start():
            raise ApiError(409, "not_started", "A training is running, or answers are missing.")
        return self.teaching()

    def _picture(self, index: int, make: Callable[[Any], bytes]) -> Response:
        try:
            return Response(make(self._find(index).face.key), media_type="image/jpeg")
        except ImageError as exc:
            raise ApiError(422, "unreadable", str(exc)) from exc

    def _find(self, index: int) -> QueuedFace:
        if not 0 <= index < len(self.queue):
            raise ApiError(404, "no_such_face", f"There is no face {index}; there are {len(self.queue)}.")
        return self.queue[index]

    def _index(self, known: Any) -> dict[int, str]:
        found = {index: known.get(queued.face.key) for index, queued in enumerate(self.queue)}
        return {index: answer for index, answer in found.items() if answer is not None}


def list_choices(classes: Sequence[str]) -> list[dict[str, Any]]:
    """Return the answers that can be given, each with its name, color and keys."""
    meanings = {meaning_of(label) for label in classes}
    is_learned = {MASKED, UNMASKED} <= meanings and INCORRECT not in meanings
    choices = [
        {"answer": label, "color": color_of(label, classes), "letter": _LETTERS.get(meaning_of(label) or "", "")}
        for label in sort_classes([*classes, _INCORRECT_CLASS] if is_learned else classes)
    ]
    choices += [{"answer": NOT_A_FACE, "color": GRAY, "letter": "n"}, {"answer": SKIPPED, "color": GRAY, "letter": "s"}]
    return [{**choice, "digit": str(place) if place < 10 else ""} for place, choice in enumerate(choices, start=1)]


def _not_written(exc: Exception) -> ApiError:
    reason = exc.strerror if isinstance(exc, OSError) else str(exc)
    return ApiError(409, "labels_file", f"The file of answers cannot be used: {reason}")


async def _page() -> FileResponse:
    return FileResponse(_STATIC / "index.html")
