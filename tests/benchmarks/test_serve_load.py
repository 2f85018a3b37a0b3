"""The load test of the server: requests, and the cells of its table."""

import asyncio

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("skimage.data")

from benchmarks.serve_load import Response, describe, send_at_rate, send_in_turn
from tests.sinks.brokers import find_port
from tests.web.conftest import as_png, serving


def test_clients_send_each_photo_once(fitted, faces):
    photo = as_png(faces[0][0])
    with serving(fitted) as live:
        port = live.address[1]
        responses = asyncio.run(send_in_turn(port, [photo, b"no image", photo], 2))
        responses += asyncio.run(send_at_rate(port, [photo], 100, 0.02))
    assert sorted(response.status for response in responses) == [200, 200, 200, 200, 422]
    assert all(response.latency_ms > 0 for response in responses)


def test_a_connection_that_fails_is_counted():
    (response,) = asyncio.run(send_at_rate(find_port(), [b"photo"], 100, 0.01))
    assert response.status == 0


def test_a_row_has_latencies_of_successful_requests_only():
    responses = [Response(200, 10), Response(200, 30), Response(503, 1), Response(0, 9000)]
    assert describe(responses, 2.0, 3.0, 1100) == [
        *("3.0", "1.0", "1 of 4 (1 failed)", "20 ms", "29 ms", "30 ms", "1,100 MB")
    ]
    assert describe([Response(503, 1)], 1.0, 1.0, 1)[3] == "nan ms"
