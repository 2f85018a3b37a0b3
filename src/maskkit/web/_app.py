"""The server as an ASGI application, for `maskkit serve` or any other ASGI server."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from maskkit._labels import GRAY, color_of
from maskkit._model.decision import UNCERTAIN, DecisionRule
from maskkit._model.predictor import FacePredictor
from maskkit._model.results import PhotoResult
from maskkit.web._batcher import Batcher, QueueFullError, Upload
from maskkit.web._guard import Guard, SafeHeaders
from maskkit.web._limits import Limits
from maskkit.web._metrics import Measured, Metrics
from maskkit.web._patience import ReadToTheEnd
from maskkit.web._refusal import LastResort, RefusedError, answer_refusal, busy
from maskkit.web._room import Room
from maskkit.web._schema import BODY, PROBLEMS, Faces, Model
from maskkit.web._uploads import read_uploads

if TYPE_CHECKING:
    from maskkit._model.classifier import MaskClassifier

_STATIC = Path(__file__).parent / "static"
# How long the rest of a request that is refused is waited for.
_REST_SECONDS = 5.0


def create_app(
    classifier: "MaskClassifier",
    *,
    token: str | None = None,
    limits: Limits | None = None,
    hosts: Collection[str] = (),
) -> FastAPI:
    """Make the server of a classifier.

    Parameters
    ----------
    classifier : MaskClassifier
        Fitted; nobody else should use it at the same time.
    token : str, optional
        What requests must bear; without it anybody who reaches the server may ask.
    limits : Limits, optional
    hosts : collection of str
        Names under which the server may be asked, beside ``localhost`` and addresses: that of a proxy, say.

    Returns
    -------
    app : FastAPI
        An ASGI application.

    Raises
    ------
    ValueError
        If the token is empty.
    """
    if token is not None and not token.strip():
        raise ValueError("the token is empty; want some secret, or None to ask for none.")
    limits = limits or Limits()
    service = _Service(classifier.predictor_, limits)
    app = FastAPI(
        title="maskkit",
        summary="Tells, for every face in a picture, whether a mask is worn.",
        lifespan=service.lifespan,
        docs_url=None,  # its page loads scripts from another host
        redoc_url=None,
        # What FastAPI would send to a collector that the environment names: paths, and with them names of files.
        telemetry={"auto_configure": False, "tracing": False, "metrics": False, "logs": False},
    )
    app.add_api_route(
        "/v1/faces",
        service.faces,
        methods=["POST"],
        response_model=Faces,
        responses=PROBLEMS,
        openapi_extra={"requestBody": BODY},
    )
    app.add_api_route("/v1/model", service.describe, methods=["GET"], response_model=Model)
    app.add_api_route("/health", service.health, methods=["GET"])
    app.add_api_route("/metrics", service.show_metrics, methods=["GET"], response_class=Response)
    app.add_api_route("/", _page, methods=["GET"], include_in_schema=False)
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    app.add_exception_handler(RefusedError, answer_refusal)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    # The last one added is the outermost.
    app.add_middleware(LastResort)
    app.add_middleware(Guard, token=token, hosts=hosts)
    app.add_middleware(ReadToTheEnd, max_bytes=limits.request_bytes, seconds=min(_REST_SECONDS, limits.seconds))
    app.add_middleware(SafeHeaders)
    paths = ("/", "/v1/faces", "/v1/model", "/health", "/metrics", "/openapi.json")
    app.add_middleware(Measured, metrics=service.metrics, paths=paths)
    return app


class _Service:
    """What the routes do."""

    def __init__(self, reader: FacePredictor, limits: Limits) -> None:
        self.reader = reader
        self.limits = limits
        self.room = Room(limits.waiting_bytes)
        self.batcher = Batcher(
            reader,
            max_waiting=limits.waiting_images,
            max_wait_s=limits.waiting_seconds,
            max_px=limits.image_px,
            on_batch=lambda n_photos: self.metrics.batches.observe(n_photos),
        )
        self.metrics = Metrics(lambda: self.batcher.n_waiting)

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        # The first photo compiles the networks; let that be nobody's.
        await asyncio.to_thread(_warm_up, self.reader)
        self.batcher.start()
        yield
        await asyncio.to_thread(self.batcher.close)

    async def faces(
        self,
        request: Request,
        threshold: Annotated[
            float | None, Query(ge=0, le=1, description="Probability below which a face is uncertain.")
        ] = None,
        name: Annotated[str, Query(max_length=255, description="Of an image that is sent without a form.")] = "image",
    ) -> JSONResponse:
        """Find the faces in one or many images and tell who wears a mask."""
        with self.room.share() as share:
            try:
                self.batcher.check_room()
                uploads = await read_uploads(request, self.limits, share)
                photos = await self._judge(uploads)
            except QueueFullError as full:
                raise busy(full.seconds) from full
        if threshold is not None:
            photos = [_decide_again(photo, replace(self.reader.rule, threshold=threshold)) for photo in photos]
        self.metrics.count(photos)
        answers = [photo.to_dict() for photo in photos]
        if all(photo.error is not None for photo in photos):
            raise RefusedError(422, "unreadable", " ".join(str(photo.error) for photo in photos), photos=answers)
        return JSONResponse({"photos": answers})

    async def _judge(self, uploads: list[Upload]) -> list[PhotoResult]:
        futures = [asyncio.wrap_future(future) for future in self.batcher.submit(uploads)]
        try:
            async with asyncio.timeout(self.limits.seconds):
                return list(await asyncio.gather(*futures))
        except TimeoutError as exc:
            raise RefusedError(
                504, "slow", f"There was no answer within {self.limits.seconds:g} s; send less."
            ) from exc
        except Exception as exc:  # a classifier may raise anything; the batcher has logged it
            raise RefusedError(500, "failed", f"The images could not be judged ({type(exc).__name__}).") from exc
        finally:
            for future in futures:
                future.cancel()

    async def describe(self) -> Any:
        """Tell which model judges, its classes and the limits."""
        classes = self.reader.classes.tolist()
        return {
            "model": self.reader.model_name,
            "detector": self.reader.detector_name,
            "classes": [{"label": label, "colour": color_of(label, classes)} for label in classes],
            "uncertain": {"label": UNCERTAIN, "colour": GRAY},
            "threshold": self.reader.rule.threshold,
            "min_size_px": self.reader.rule.min_size_px,
            "limits": asdict(self.limits),
        }

    async def health(self) -> dict[str, str]:
        """Tell that the server runs."""
        return {"status": "ok"}

    async def show_metrics(self) -> Response:
        """Give counts and times in Prometheus' text format."""
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _warm_up(reader: FacePredictor) -> None:
    image = np.full((256, 256, 3), 127, dtype=np.uint8)
    for _ in reader.read_named_photos([("an empty picture", image)]):
        pass  # what a detector cannot bear in it is no reason not to start
    reader.classify_crops([image])


def _decide_again(photo: PhotoResult, rule: DecisionRule) -> PhotoResult:
    return replace(
        photo,
        faces=tuple(replace(face, reasons=rule.reasons(face.probability, face.size_px)) for face in photo.faces),
    )


async def _page() -> FileResponse:
    return FileResponse(_STATIC / "index.html")


async def _answer_http(request: Request, exc: Exception) -> JSONResponse:
    """Say 404 and 405 as everything else is said."""
    assert isinstance(exc, HTTPException)
    code = str(exc.detail).lower().replace(" ", "_")
    return RefusedError(
        exc.status_code, code, f"{exc.detail}: {request.method} {request.url.path}", exc.headers
    ).response()


async def _answer_invalid(request: Request, exc: Exception) -> JSONResponse:
    assert isinstance(exc, RequestValidationError)
    wrong = "; ".join(f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in exc.errors())
    return RefusedError(422, "invalid", wrong).response()
