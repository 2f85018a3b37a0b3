"""Requests of the API: results, errors and their messages."""

import asyncio
import copy
import json
import sys
import tempfile
from dataclasses import replace

import numpy as np
import pytest

from maskkit.testing import FixedDetector
from maskkit.web import Limits, create_app
from maskkit.web._schema import ErrorResponse, Faces, Model
from tests.web.conftest import as_png, serving_client, with_detector

PNG = {"Content-Type": "image/png"}
SMALL = Limits(image_bytes=20_000, images=2, request_bytes=30_000, image_px=64 * 64, waiting_images=4)


@pytest.fixture(scope="module")
def small(fitted):
    """A client of a server with tight limits."""
    with serving_client(fitted, limits=SMALL) as client:
        yield client


def error_of(response, status, code):
    """Check the status and code of an error, and return its message."""
    assert (response.status_code, response.headers["content-type"]) == (status, "application/json")
    error = ErrorResponse.model_validate(response.json(), strict=False).error
    assert error.code == code
    return error.message


def test_one_image_without_a_form(client, fitted, photo):
    response = client.post("/v1/faces?name=street.png", content=photo, headers=PNG)
    assert response.status_code == 200
    (answer,) = response.json()["photos"]
    wanted = fitted.predict_faces(photo).to_dict()
    assert answer.pop("speed_ms").keys() == wanted.pop("speed_ms").keys()
    assert answer == wanted | {"source": "street.png"}
    assert answer["faces"][0]["label"] == "with_mask"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("thresh=0.9", "query.thresh: is unknown; want threshold and name, once."),
        ("threshold=0.9&threshold=0.1", "query.threshold: is given 2 times; want threshold and name, once."),
    ],
)
def test_query_parameters_that_would_be_ignored_are_refused(client, photo, query, message):
    response = client.post(f"/v1/faces?{query}", content=photo, headers=PNG)
    assert error_of(response, 422, "invalid_parameter") == message


def test_many_images_in_a_form_keep_their_order_and_names(client, faces, photo):
    files = [
        ("image", ("../one.png", photo)),
        ("other", ("zwei ä.txt", b"no image")),
        ("image", ("three.png", as_png(faces[0][1]))),
        ("image", ("", b"")),  # a field in which no file was chosen
    ]
    response = client.post("/v1/faces", files=files, data={"comment": "is ignored"})
    assert response.status_code == 200
    photos = Faces.model_validate(response.json()).photos
    assert [photo.source for photo in photos] == ["../one.png", "zwei ä.txt", "three.png"]
    assert [photo.status for photo in photos] == ["ok", "unreadable", "ok"]
    assert photos[1].error == "zwei ä.txt: is of no accepted format; send JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF."
    assert [photo.faces[0].label for photo in photos if photo.faces] == ["with_mask", "without_mask"]


@pytest.mark.parametrize("charset", ["unicode_escape", "utf-7", "utf-8", "nosuch", "rot13"])
@pytest.mark.parametrize("content", [b"photo", b"no image"])
def test_name_that_no_answer_can_hold_is_escaped(client, photo, charset, content):
    headers = {"Content-Type": f"multipart/form-data; boundary=x; charset={charset}"}
    head = b'--x\r\nContent-Disposition: form-data; name="a"; filename="\\ud800 +2AA- \x1b.png"\r\n\r\n'
    data = photo if content == b"photo" else content
    response = client.post("/v1/faces", content=head + data + b"\r\n--x--\r\n", headers=headers)
    assert response.status_code == (200 if content == b"photo" else 422)
    source = response.json()["photos"][0]["source"]
    assert source.encode()
    assert source.isprintable()
    response = client.post("/v1/faces?name=%1b%5b31m%ff%0d", content=photo, headers=PNG)
    assert response.json()["photos"][0]["source"] == "\\x1b[31m\ufffd\\r"


def test_large_photos_are_not_written_to_disk(client, photo, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "no such folder"))
    large = photo + bytes(3_000_000)  # a PNG file ends before that
    for request in ({"files": {"image": ("large.png", large)}}, {"content": large, "headers": PNG}):
        assert client.post("/v1/faces", **request).json()["photos"][0]["status"] == "ok"


def test_photo_without_faces_is_a_result(fitted, photo):
    with serving_client(with_detector(fitted, FixedDetector(np.zeros((0, 4))))) as client:
        response = client.post("/v1/faces", content=photo, headers=PNG)
    assert response.status_code == 200
    (answer,) = response.json()["photos"]
    assert (answer["status"], answer["faces"], answer["summary"]) == ("no_face", [], {})


def test_threshold_changes_decisions(client, photo):
    sure = client.post("/v1/faces?threshold=0", content=photo, headers=PNG).json()["photos"][0]
    unsure = client.post("/v1/faces?threshold=1", content=photo, headers=PNG).json()["photos"][0]
    assert sure["summary"] == {"with_mask": 1}
    assert unsure["summary"] == {"uncertain": 1}
    assert unsure["faces"][0]["reasons"] == ["low_probability"]
    assert unsure["faces"][0]["probability"] == pytest.approx(sure["faces"][0]["probability"])


def test_threshold_leaves_min_size_px_alone(fitted, photo):
    with serving_client(replace_params(fitted, min_size_px=65)) as client:
        answer = client.post("/v1/faces?threshold=0", content=photo, headers=PNG).json()["photos"][0]
    assert answer["faces"][0]["reasons"] == ["too_small"]


def replace_params(classifier, **params):
    other = copy.copy(classifier)
    for name, value in params.items():
        setattr(other, name, value)
    return other


def test_request_without_a_readable_image_is_an_error_with_results(client):
    response = client.post("/v1/faces", content=b"nothing", headers={"Content-Type": "application/octet-stream"})
    assert error_of(response, 422, "unreadable") == (
        "image: is of no accepted format; send JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF."
    )
    assert response.json()["photos"][0]["status"] == "unreadable"


FORM = {"Content-Type": "multipart/form-data; boundary=x"}


@pytest.mark.parametrize(
    ("headers", "content", "status", "code"),
    [
        (PNG, b"", 400, "no_image"),
        (FORM, b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\nwords\r\n--x--\r\n", 400, "no_image"),
        (FORM, b"--x\r\nContent-Disposition: form-data; name=a; filename=b\r\n\r\ncut of", 400, "invalid_form"),
        (FORM, b"anything but a form", 400, "invalid_form"),
        (FORM, b"--x\r\n" + b"A: b\r\n" * 100, 400, "invalid_form"),
        ({"Content-Type": "multipart/form-data"}, b"--x--", 400, "invalid_form"),
        (FORM, b"--x\r\nContent-Disposition: form-data; filename=b\r\n\r\nno name\r\n--x--\r\n", 400, "invalid_form"),
        (FORM, b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n" * 101 + b"--x--", 400, "invalid_form"),
        (FORM, b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n" + b"x" * 70_000, 413, "too_large"),
        (
            {"Content-Type": "multipart/form-data; boundary=x; charset=undefined"},
            b"--x\r\nContent-Disposition: form-data; name=a; filename=b\r\n\r\nx\r\n--x--\r\n",
            400,
            "invalid_form",
        ),
        ({"Content-Type": f"multipart/form-data; boundary={'x' * 300}"}, b"--x--", 400, "invalid_form"),
        ({"Content-Type": "text/plain"}, b"hello", 415, "unsupported_media_type"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"a=b", 415, "unsupported_media_type"),
        ({}, b"no type", 415, "unsupported_media_type"),
        (PNG, b"x" * 20_001, 413, "too_large"),
        (PNG, b"x" * 30_001, 413, "too_large"),
    ],
)
def test_invalid_requests_are_refused(small, headers, content, status, code):
    error_of(small.post("/v1/faces", content=content, headers=headers), status, code)


def test_limits_hold_in_a_form(small, photo):
    response = small.post("/v1/faces", files=[("image", (str(n), b"x")) for n in range(3)])
    assert error_of(response, 413, "too_many_images") == (
        "Too many files. Maximum number of files is 2; send several requests."
    )
    response = small.post("/v1/faces", files={"image": ("big.png", b"x" * 20_001)})
    assert error_of(response, 413, "too_large") == "big.png is larger than 20,000 bytes; send less."
    response = small.post("/v1/faces", files=[("image", (str(n), b"x" * 15_000)) for n in range(2)])
    assert error_of(response, 413, "too_large") == "The request is larger than 30,000 bytes; send less."


def test_body_without_content_length_is_limited(small):
    response = small.post("/v1/faces", content=iter([b"x" * 12_000] * 3), headers=PNG)
    error_of(response, 413, "too_large")


def test_pixels_are_limited_before_decoding(small):
    too_wide = as_png(np.zeros((64, 65, 3), np.uint8))
    message = error_of(small.post("/v1/faces", content=too_wide, headers=PNG), 422, "unreadable")
    assert message == "image: has 65 x 64 pixels; want 4,096 at most."


@pytest.mark.parametrize("threshold", ["2", "-1", "nan", "much"])
def test_invalid_parameter_is_named(client, photo, threshold):
    response = client.post(f"/v1/faces?threshold={threshold}", content=photo, headers=PNG)
    assert error_of(response, 422, "invalid_parameter").startswith("query.threshold: ")


def test_unknown_paths_and_methods(client):
    assert error_of(client.get("/v1/nothing"), 404, "not_found") == "Not Found: GET /v1/nothing"
    assert error_of(client.get("/v1/faces"), 405, "method_not_allowed") == "Method Not Allowed: GET /v1/faces"
    error_of(client.get("/static/../_app.py"), 404, "not_found")
    error_of(client.get("/static/%2e%2e/_app.py"), 404, "not_found")


def post_and_stall(app, *chunks):
    """Send these chunks and then nothing; return the status and the body."""
    sent = []

    async def send(message):
        sent.append(message)

    async def ask():
        left = list(chunks)

        async def receive():
            if not left:
                await asyncio.Event().wait()
            return {"type": "http.request", "body": left.pop(0), "more_body": True}

        headers = [(b"host", b"localhost"), (b"content-type", b"image/png")]
        scope = {"type": "http", "method": "POST", "path": "/v1/faces", "query_string": b"", "headers": headers}
        await app(scope, receive, send)

    asyncio.run(ask())
    return sent[0]["status"], json.loads(sent[1]["body"])


def test_stalled_upload_times_out(fitted):
    app = create_app(fitted, limits=Limits(seconds=0.05))
    status, body = post_and_stall(app, b"a", b"b")
    assert (status, body["error"]["code"]) == (408, "upload_timeout")


def test_memory_for_uploads_is_limited_and_released(fitted):
    app = create_app(fitted, limits=Limits(waiting_bytes=1_000, seconds=0.05))
    for _ in range(2):
        status, body = post_and_stall(app, b"x" * 600, b"x" * 600)
        assert (status, body["error"]["code"]) == (503, "queue_full")
    assert post_and_stall(app, b"x" * 600)[0] == 408


def test_slow_prediction_times_out(gated, detector, photo):
    with serving_client(gated, limits=Limits(seconds=0.05)) as client:
        detector.close()
        response = client.post("/v1/faces", content=photo, headers=PNG)
        detector.gate.set()
    assert error_of(response, 504, "prediction_timeout") == (
        "The images were not classified within 0.05 s; send fewer."
    )


def test_failing_classifier_is_a_500_and_the_server_goes_on(gated, detector, photo, monkeypatch, caplog):
    with serving_client(gated) as client:
        monkeypatch.setattr(type(detector), "detect", lambda self, image: (_ for _ in ()).throw(MemoryError("secret")))
        response = client.post("/v1/faces?name=private.png", content=photo, headers=PNG)
        assert error_of(response, 500, "prediction_failed") == ("The images could not be classified (MemoryError).")
        monkeypatch.undo()
        assert client.post("/v1/faces", content=photo, headers=PNG).status_code == 200
    assert "could not be classified: MemoryError" in caplog.text
    assert "secret" not in caplog.text
    assert "private.png" not in caplog.text


def test_failing_detector_makes_its_photo_unreadable(gated, detector, photo, monkeypatch):
    with serving_client(gated) as client:
        monkeypatch.setattr(type(detector), "detect", lambda self, image: 1 / 0)
        response = client.post("/v1/faces?name=odd.png", content=photo, headers=PNG)
    assert "detect() failed on odd.png (ZeroDivisionError" in error_of(response, 422, "unreadable")


def test_the_model_is_described(client, fitted):
    model = Model.model_validate(client.get("/v1/model").json())
    assert [known.label for known in model.classes] == fitted.classes_.tolist()
    assert [known.color for known in model.classes] == ["#0072B2", "#C44E00"]
    assert (model.threshold, model.limits["image_bytes"]) == (fitted.threshold, 20_000_000)


def test_health(client):
    assert client.get("/health").json() == {"status": "ok"}


GET_PATHS = ("/", "/health", "/metrics", "/v1/model", "/openapi.json", "/static/app.js")


@pytest.mark.parametrize("path", GET_PATHS)
def test_head_is_answered_as_get_without_a_body(client, path):
    wanted, response = client.get(path), client.head(path)
    assert (response.status_code, response.content) == (200, b"")
    for name in ("content-type", "content-security-policy", *(["content-length"] if path != "/metrics" else [])):
        assert response.headers[name] == wanted.headers[name]
    assert client.get("/health").status_code == 200  # on the same connection


@pytest.mark.parametrize("path", [*GET_PATHS, "/v1/faces"])
@pytest.mark.parametrize("method", ["OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "BREW"])
def test_other_methods_are_a_405_that_lists_the_allowed_ones(client, path, method):
    response = client.request(method, path)
    assert error_of(response, 405, "method_not_allowed") == f"Method Not Allowed: {method} {path}"
    assert set(response.headers["allow"].split(", ")) == ({"POST"} if path == "/v1/faces" else {"GET", "HEAD"})


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"http://localhost/health", 200),
        (b"HTTP://127.0.0.1:80/v1/model?a=b", 200),
        (b"http://localhost", 200),
        (b"http://localhost/nothing", 404),
        (b"http://rebound.example/health", 403),
        (b"http:///health", 403),
    ],
)
def test_target_may_be_a_url_whose_host_counts(client, target, status):
    headers = {"Host": "localhost" if status == 403 else "rebound.example"}
    assert client.get("/", extensions={"target": target}, headers=headers).status_code == status
    assert client.head("/", extensions={"target": target}, headers=headers).status_code == status


def test_head_of_other_paths(client):
    response = client.head("/v1/faces")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert client.head("/nothing").status_code == 404


@pytest.mark.parametrize("path", ["/v1/faces/", "/health/", "/v1/model/", "/metrics/", "/static", "/static/"])
def test_trailing_slash_is_not_redirected(client, photo, path):
    for response in (client.post(path, content=photo, headers=PNG), client.get(path)):
        assert response.status_code in (404, 405)
        assert "location" not in response.headers


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "GZIP", "gzip, identity", "zstd"])
def test_compressed_body_is_a_415(client, photo, encoding):
    response = client.post("/v1/faces", content=photo, headers=PNG | {"Content-Encoding": encoding})
    assert error_of(response, 415, "unsupported_encoding") == (
        f"The body is compressed (Content-Encoding: {encoding.lower()}); send it without compression."
    )
    assert response.headers["accept-encoding"] == "identity"
    plain = client.post("/v1/faces", content=photo, headers=PNG | {"Content-Encoding": "identity"})
    assert plain.status_code == 200


def test_other_content_types_are_named(client):
    response = client.post("/v1/faces", json={"image": "/9j/4AAQ"})
    assert error_of(response, 415, "unsupported_media_type") == (
        "The content type is application/json; expected multipart/form-data with files, or one image as image/... or "
        "application/octet-stream. JSON and base64 are not read."
    )
    form = client.post("/v1/faces", files={"image": (None, b"/9j/" * 20_000)})
    assert error_of(form, 400, "invalid_form").endswith("; send images as files, with a file name.")


def test_metrics_count_requests_photos_and_faces(fitted, photo):
    with serving_client(fitted) as client:
        client.post("/v1/faces", files=[("image", ("a", photo)), ("image", ("b", b"x")), ("image", ("c", photo))])
        client.post("/v1/faces", content=photo, headers={"Content-Type": "text/plain"})
        client.get("/no/such/path")
        response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = response.text.splitlines()
    for line in (
        'maskkit_requests_total{path="/v1/faces",status="200"} 1.0',
        'maskkit_requests_total{path="/v1/faces",status="415"} 1.0',
        'maskkit_requests_total{path="other",status="404"} 1.0',
        'maskkit_photos_total{status="ok"} 2.0',
        'maskkit_photos_total{status="unreadable"} 1.0',
        'maskkit_faces_total{decision="with_mask"} 2.0',
        'maskkit_request_seconds_count{path="/v1/faces"} 2.0',
        "maskkit_queue_photos 0.0",
        "maskkit_batch_photos_sum 2.0",  # the other file is no image, and is not queued
    ):
        assert line in lines
    assert not any("no/such" in line for line in lines)


def test_openapi_lists_every_error_and_both_ways_to_send(client):
    description = client.get("/openapi.json").json()
    operation = description["paths"]["/v1/faces"]["post"]
    assert {"200", "400", "401", "403", "408", "413", "415", "422", "500", "503", "504"} <= operation[
        "responses"
    ].keys()
    assert {"multipart/form-data", "image/*", "application/octet-stream"} == operation["requestBody"]["content"].keys()
    assert {"/v1/faces", "/v1/model", "/health", "/metrics"} == description["paths"].keys()


@pytest.mark.parametrize("wrong", [{"images": 0}, {"seconds": 0}, {"image_px": -1}])
def test_limits_must_be_above_zero(wrong):
    with pytest.raises(ValueError, match="want a number above 0"):
        Limits(**wrong)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float32("nan")])
def test_limits_are_finite(value):
    for name in ("seconds", "image_px", "waiting_seconds"):
        with pytest.raises(ValueError, match=name):
            Limits(**{name: value})


def test_limits_of_any_library_are_shown_as_json(fitted):
    limits = Limits(images=np.int64(3), seconds=np.float32(2), image_px=np.float64(1e6))
    with serving_client(fitted, limits=limits) as client:
        shown = client.get("/v1/model").json()["limits"]
    assert (shown["images"], shown["seconds"], shown["image_px"]) == (3, 2.0, 1_000_000)


@pytest.mark.parametrize("threshold", ["nan", "inf", "-1"])
def test_a_threshold_that_is_not_finite_is_refused(client, photo, threshold):
    assert client.post(f"/v1/faces?threshold={threshold}", content=photo, headers=PNG).status_code == 422


def test_queue_must_hold_a_full_request():
    with pytest.raises(ValueError, match="so that a full request would never be accepted"):
        replace(SMALL, waiting_images=1)


def test_missing_extra_error_shows_the_pip_command(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("maskkit.web")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "fastapi", None)
    with pytest.raises(ImportError, match=r"fastapi is not installed; install it: pip install 'maskkit\[serve\]'"):
        import maskkit.web  # noqa: F401
