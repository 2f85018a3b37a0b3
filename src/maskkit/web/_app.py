"""The ASGI application, for `maskkit serve` or any other ASGI server."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from fastapi import FastAPI, Query, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from starlette.staticfiles import StaticFiles

from maskkit._labels import GRAY, color_of
from maskkit._model.decision import NOT_A_FACE, UNCERTAIN, DecisionRule
from maskkit._model.predictor import FacePredictor
from maskkit._model.results import MASKKIT_VERSION, FaceResult, PhotoResult
from maskkit.web._batcher import Batcher
from maskkit.web._errors import ApiError, InternalErrorHandler, add_exception_handlers
from maskkit.web._guard import Guard, SecurityHeaders, check_token, parse_host
from maskkit.web._inspect import Inspection, UnsupportedFormatError, Upload, inspect_uploads
from maskkit.web._limits import Limits
from maskkit.web._metrics import Metrics, RequestMetrics
from maskkit.web._request_form import NormalizeRequest
from maskkit.web._schema import ERROR_RESPONSES, REQUEST_BODY, Faces, Model
from maskkit.web._uploads import DrainRequestBody, MemoryBudget, cancel_on_disconnect, read_uploads

if TYPE_CHECKING:
    from maskkit._model.classifier import MaskClassifier

_STATIC = Path(__file__).parent / "static"
# Time for the rest of a request body to arrive before its error is sent.
_DRAIN_SECONDS = 5.0

# The query parameters of /v1/faces.
_QUERY = ("threshold", "name")


def create_app(
    classifier: "MaskClassifier",
    *,
    token: str | None = None,
    limits: Limits | None = None,
    hosts: Collection[str] = (),
) -> FastAPI:
    """Create the web application of a classifier.

    Parameters
    ----------
    classifier : MaskClassifier
        Fitted classifier. It must not be used elsewhere at the same time.
    token : str, optional
        Bearer token that clients must send, of printable ASCII characters without spaces at the ends. Without one,
        everyone who reaches the server may use it.
    limits : Limits, optional
        Upper bounds on requests.
    hosts : collection of str
        Additional allowed Host headers, such as the name of a proxy. Scheme, port, upper case and a trailing dot
        make no difference. ``localhost`` and IP addresses are always allowed.

    Returns
    -------
    app : FastAPI
        An ASGI application.

    Raises
    ------
    ValueError
        If the token is empty or has characters that headers cannot carry, or a host is not a name.
    """
    if token is not None:
        check_token(token)
    hosts = [parse_host(host) for host in hosts]
    limits = limits or Limits()
    service = _Service(classifier.predictor_, limits)
    app = FastAPI(
        title="maskkit",
        summary="Detects faces and classifies whether each wears a mask.",
        lifespan=service.lifespan,
        # FastAPI's page of documentation loads scripts from another host.
        docs_url=None,
        redoc_url=None,
        # A redirect would name this server's own address and scheme, which a proxy may have replaced.
        redirect_slashes=False,
        # FastAPI would send request paths, and so file names, to the collector that the environment names.
        telemetry={"auto_configure": False, "tracing": False, "metrics": False, "logs": False},
    )
    app.add_api_route(
        "/v1/faces",
        service.faces,
        methods=["POST"],
        response_model=Faces,
        responses=ERROR_RESPONSES,
        openapi_extra={"requestBody": REQUEST_BODY},
    )
    app.add_api_route("/v1/model", service.model, methods=["GET"], response_model=Model)
    app.add_api_route("/health", service.health, methods=["GET"])
    app.add_api_route("/metrics", service.read_metrics, methods=["GET"], response_class=Response)
    app.add_api_route("/", _page, methods=["GET"], include_in_schema=False)
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    add_exception_handlers(app)
    # The middleware added last is the outermost: requests are counted, and get security headers, whatever happens.
    app.add_middleware(InternalErrorHandler)
    app.add_middleware(Guard, token=token, hosts=hosts)
    app.add_middleware(DrainRequestBody, max_bytes=limits.request_bytes, seconds=min(_DRAIN_SECONDS, limits.seconds))
    app.add_middleware(SecurityHeaders)
    paths = ("/", "/v1/faces", "/v1/model", "/health", "/metrics", "/openapi.json")
    app.add_middleware(RequestMetrics, metrics=service.metrics, paths=paths)
    app.add_middleware(NormalizeRequest)
    return app


def _check_query(request: Request) -> None:
    """Raise ApiError if a query parameter is unknown or repeated, and would be ignored."""
    names = [name for name, _ in request.query_params.multi_items()]
    for name in names:
        if name not in _QUERY or names.count(name) > 1:
            fault = "is unknown" if name not in _QUERY else f"is given {names.count(name)} times"
            raise ApiError(422, "invalid_parameter", f"query.{name[:80]}: {fault}; want {' and '.join(_QUERY)}, once.")


class _Service:
    """The routes, and the state that they share."""

    def __init__(self, predictor: FacePredictor, limits: Limits) -> None:
        self.predictor = predictor
        self.limits = limits
        self.memory = MemoryBudget(limits.waiting_bytes)
        self.metrics = Metrics(lambda: self.batcher.n_waiting)
        self.batcher = Batcher(
            predictor,
            max_waiting=limits.waiting_images,
            max_wait_s=limits.waiting_seconds,
            max_px=limits.image_px,
            on_batch=self.metrics.batches.observe,
        )

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        # The first photo compiles the networks, which takes seconds. No client should have to wait for that.
        await asyncio.to_thread(_warm_up, self.batcher.predictor)
        self.batcher.start()
        yield
        await asyncio.to_thread(self.batcher.close)

    async def faces(
        self,
        request: Request,
        threshold: Annotated[
            float | None, Query(ge=0, le=1, description="Probability below which a face is uncertain.")
        ] = None,
        name: Annotated[str, Query(max_length=255, description="Name of an image that is sent without a form.")] = (
            "image"
        ),
    ) -> JSONResponse:
        """Detect the faces in one or more images and classify them."""
        _check_query(request)
        with self.memory.reserve() as reserve_bytes:
            # A full queue is reported before the images are read.
            self.batcher.check_capacity()
            uploads = await read_uploads(request, self.limits, reserve_bytes)
            inspections = await inspect_uploads(uploads, self.limits)
            photos = await cancel_on_disconnect(request, self._predict(inspections))
        if threshold is not None:
            rule = replace(self.predictor.rule, threshold=threshold)
            photos = [_apply_rule(photo, rule) for photo in photos]
        self.metrics.count(photos)
        results = [photo.to_dict() for photo in photos]
        if all(photo.error is not None for photo in photos):
            is_unsupported = all(isinstance(inspection.error, UnsupportedFormatError) for inspection in inspections)
            status, code = (415, "unsupported_format") if is_unsupported else (422, "unreadable")
            raise ApiError(status, code, " ".join(str(photo.error) for photo in photos), photos=results)
        return JSONResponse({"photos": results})

    async def _predict(self, inspections: list[Inspection]) -> list[PhotoResult]:
        """Predict the files that can be decoded; the others get a result with their error."""
        readable = [(upload, n_px) for upload, n_px, error in inspections if error is None]
        predicted = iter(await self._predict_readable(readable) if readable else ())
        return [
            next(predicted) if error is None else self.predictor.unreadable_photo(upload.data, upload.name, error)
            for upload, _, error in inspections
        ]

    async def _predict_readable(self, uploads: list[tuple[Upload, int]]) -> list[PhotoResult]:
        futures = [asyncio.wrap_future(future) for future in self.batcher.submit(uploads)]
        try:
            async with asyncio.timeout(self.limits.seconds):
                return list(await asyncio.gather(*futures))
        except TimeoutError as exc:
            message = f"The images were not classified within {self.limits.seconds:g} s; send fewer."
            raise ApiError(504, "prediction_timeout", message) from exc
        except Exception as exc:  # A plugin may raise anything; the batcher has logged it.
            message = f"The images could not be classified ({type(exc).__name__})."
            raise ApiError(500, "prediction_failed", message) from exc
        finally:
            for future in futures:
                future.cancel()

    async def model(self) -> Any:
        """Describe the model, its classes and the limits."""
        classes = self.predictor.classes.tolist()
        return {
            "model": self.predictor.model_name,
            "model_sha256": self.predictor.model_sha256,
            "detector": self.predictor.detector_name,
            "maskkit_version": MASKKIT_VERSION,
            "classes": [{"label": label, "color": color_of(label, classes)} for label in classes],
            "uncertain": {"label": UNCERTAIN, "color": GRAY},
            "threshold": self.predictor.rule.threshold,
            "min_size_px": self.predictor.rule.min_size_px,
            "limits": asdict(self.limits),
        }

    async def health(self) -> dict[str, str]:
        """Report that the server is running."""
        return {"status": "ok"}

    async def read_metrics(self) -> Response:
        """Return counts and times in the text format of Prometheus."""
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _warm_up(predictor: FacePredictor) -> None:
    image = np.full((256, 256, 3), 127, dtype=np.uint8)
    # A detector that fails on this empty image gives a result with an error, and the server starts.
    list(predictor.read_named_photos([("warm-up image", image)]))
    predictor.predict_proba([image], are_crops=True)


def _apply_rule(photo: PhotoResult, rule: DecisionRule) -> PhotoResult:
    """Return the photo with the decisions of another rule."""

    def decide(face: FaceResult) -> FaceResult:
        is_face = NOT_A_FACE not in face.reasons
        return replace(face, reasons=rule.reasons(face.probability, face.size_px, is_face=is_face))

    return replace(photo, faces=tuple(map(decide, photo.faces)))


async def _page() -> FileResponse:
    return FileResponse(_STATIC / "index.html")
