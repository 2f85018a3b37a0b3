"""Any body and any headers get one answer, in work bounded by their length, and release the memory that they took."""

import asyncio
import json
import re

import numpy as np
import pytest
from hypothesis import given, strategies as st

from maskkit.testing import FixedDetector
from maskkit.web import Limits, create_app
from maskkit.web._schema import ERROR_RESPONSES
from tests.conftest import fuzzing
from tests.web.conftest import as_png, with_detector

LIMITS = Limits(image_bytes=20_000, images=2, request_bytes=30_000, waiting_images=4, waiting_bytes=60_000, seconds=5)
HEADERS = (
    (b"content-type", b"multipart/form-data; boundary=x"),
    (b"content-type", b"multipart/form-data"),
    (b"content-type", b"multipart/form-data; boundary=\xff; charset=utf-16"),
    # Both can make lone surrogates, which no answer can hold.
    (b"content-type", b"multipart/form-data; boundary=x; charset=unicode_escape"),
    (b"content-type", b"multipart/form-data; boundary=x; charset=utf-7"),
    (b"content-type", b"image/png"),
    (b"content-type", b"application/json"),
    (b"content-type", b""),
    (b"content-length", b"7"),
    (b"content-length", b"99999999999999999999"),
    (b"content-length", b"-1"),
    (b"content-encoding", b"gzip"),
    (b"content-encoding", b"identity"),
    (b"transfer-encoding", b"chunked"),
    (b"expect", b"100-continue"),
    (b"authorization", b"Bearer \xff"),
    (b"origin", b"http://[::1"),
    (b"host", b"[::1"),
    (b"host", b"attacker.example"),
)
PARTS = (
    b"--x\r\n",
    b"--x--\r\n",
    b"\r\n",
    b'Content-Disposition: form-data; name="a"; filename="b.png"\r\n\r\n',
    b'Content-Disposition: form-data; name="a"\r\n\r\n',
    b"Content-Disposition: form-data; name=a; filename*=utf-8''%ff%00\r\n\r\n",
    b'Content-Disposition: form-data; name="a"; filename="\\ud800 +2AA- \\x1b"\r\n\r\n',
    b"Content-Disposition: attachment\r\n",
    b"Content-Transfer-Encoding: base64\r\n",
    b"Content-Type: text/plain; charset=undefined\r\n",
    b"A: b\r\n" * 50,
    as_png(np.zeros((16, 16, 3), np.uint8)),
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"GIF89a",
    b"II*\0\x08\0\0\0\xff\xff",
    b"/9j/4AAQSkZJRgABAQAAAQ",
    b'{"image": "',
    b"\0" * 10_000,
    b"-" * 10_000,
)


@pytest.fixture(scope="module")
def app(fitted):
    app = create_app(with_detector(fitted, FixedDetector([[0, 0, 8, 8]])), limits=LIMITS)
    batcher = service_of(app).batcher
    batcher.start()
    yield app
    batcher.close()


def service_of(app):
    (route,) = [route for route in app.routes if getattr(route, "path", "") == "/v1/faces"]
    return route.endpoint.__self__


async def ask(app, headers, chunks):
    """Send a request; return the status, the body, and how often the application asked for more."""
    sent, left = [], [*chunks]
    n_reads = 0

    async def receive():
        nonlocal n_reads
        n_reads += 1
        if n_reads > len(chunks) + 1:
            return {"type": "http.disconnect"}
        body = left.pop(0) if left else b""
        return {"type": "http.request", "body": body, "more_body": bool(left)}

    async def send(message):
        sent.append(message)

    given = dict(headers)
    fields = [(b"host", b"localhost"), *headers] if b"host" not in given else headers
    scope = {"type": "http", "method": "POST", "path": "/v1/faces", "query_string": b"", "headers": fields}
    await app({**scope, "http_version": "1.1"}, receive, send)
    start, *bodies = sent
    return start["status"], b"".join(message.get("body", b"") for message in bodies), n_reads


@given(
    st.lists(st.sampled_from(HEADERS), max_size=4),
    st.lists(st.sampled_from(PARTS) | st.binary(max_size=40), max_size=30),
    st.integers(1, 50),
)
@fuzzing(250)
def test_any_request_gets_one_answer_and_releases_its_memory(app, headers, parts, n_chunks):
    body = b"".join(parts)
    size = -(-len(body) // n_chunks) or 1
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    status, answer, n_reads = asyncio.run(ask(app, headers, chunks))
    assert status in {200, *ERROR_RESPONSES}
    assert status != 500
    assert len(answer) < 2_000 + 100 * len(body)
    assert ("error" in json.loads(answer)) == (status != 200)
    # Nothing is read twice, and nothing after the end but the sign that the client is gone.
    assert n_reads <= len(chunks) + 2
    assert service_of(app).memory.n_free_bytes == LIMITS.waiting_bytes
    assert not re.search(rb"0x[0-9a-f]{8}", answer)  # no address of this process
