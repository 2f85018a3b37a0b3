"""Every wait of a connection has a deadline, which no byte of the client moves."""

import asyncio
import socket
import threading
from contextlib import contextmanager

import httpx2
import pytest
import uvicorn
from hypothesis import given, strategies as st
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route
from uvicorn.server import ServerState

from maskkit.web import Limits, make_server
from maskkit.web._deadlines import deadline_protocol
from tests.conftest import fuzzing
from tests.web.conftest import serving

WAIT_S = 0.2
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def small(request):
    return PlainTextResponse("hello")


async def large(request):
    return PlainTextResponse("x" * 50_000_000)


async def medium(request):
    return PlainTextResponse("x" * 200_000)


async def endless(request):
    async def lines():
        while True:
            yield "x" * 100_000
            await asyncio.sleep(0)

    return StreamingResponse(lines())


async def stuck(request):
    await asyncio.Event().wait()


APP = Starlette(
    routes=[Route(f"/{one.__name__}", one) for one in (medium, large, endless, stuck)] + [Route("/", small)]
)


@contextmanager
def running(app, **options):
    """Run a server with short deadlines in a thread."""
    started = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = make_server(app, on_start=started.set, **options)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        assert started.wait(60)
        server.address = listening.getsockname()
        yield server
        server.should_exit = True
        thread.join(60)


@pytest.fixture(scope="module")
def server():
    with running(APP, seconds=WAIT_S, wait_seconds=WAIT_S) as server:
        yield server


@contextmanager
def connecting(server, sent=b""):
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.settimeout(60)
        connection.connect(server.address)
        connection.sendall(sent)
        yield connection


def read_until_closed(connection, drip=b"", n_bytes=65_536):
    """Send bytes one at a time and read until the server closes the connection; return what was read."""
    read = b""
    connection.settimeout(0.01)
    for index in range(5_000):
        try:
            if drip:
                connection.send(drip[index % len(drip) :][:1])
            received = connection.recv(n_bytes)
        except TimeoutError:
            continue
        except ConnectionError:
            return read
        if not received:
            return read
        read += received
    pytest.fail("the connection was never closed")


def wait_until_closed(server):
    """Wait until the server has no connection, although nothing is read."""
    waiting = threading.Event()
    for _ in range(10_000):
        if not server.server_state.connections:
            return
        waiting.wait(0.01)
    pytest.fail("the connection was never closed")


POST = b"POST / HTTP/1.1\r\nHost: localhost\r\n"
HEADER = b"GET / HTTP/1.1\r\nX: " + b"x" * 10_000


@pytest.mark.parametrize("drip", [b"", HEADER, b"\r\n", b"\0"], ids=["nothing", "header", "empty lines", "garbage"])
@pytest.mark.parametrize("first", [b"", GET, GET * 3], ids=["first", "second", "fourth"])
def test_header_of_each_request_has_a_deadline(server, first, drip):
    with connecting(server, first) as connection:
        read = read_until_closed(connection, drip)
    assert read.count(b"200 OK") == first.count(b"GET")


def test_one_byte_of_a_second_request_does_not_hold_the_connection(server):
    with connecting(server, GET) as connection:
        assert b"200 OK" in connection.recv(65_536)
        connection.sendall(b"G")
        assert b"HTTP" not in read_until_closed(connection)


@pytest.mark.parametrize(
    "header",
    [
        POST + b"Content-Length: 1000000\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\n",
        POST + b"Content-Length: 1000000\r\nExpect: 100-continue\r\n\r\n",
    ],
    ids=["length", "chunked", "expect"],
)
@pytest.mark.parametrize("drip", [b"", b"x", b"1\r\nx\r\n"], ids=["nothing", "bytes", "chunks"])
def test_body_that_is_sent_after_its_answer_has_a_deadline(server, header, drip):
    with connecting(server, header) as connection:
        assert b"HTTP/1.1 405" in read_until_closed(connection, drip)


def test_answer_that_never_comes_has_a_deadline(server):
    with connecting(server, GET.replace(b"/", b"/stuck", 1)) as connection:
        assert read_until_closed(connection) == b""


@pytest.mark.parametrize("path", [b"/large", b"/endless"])
def test_client_that_does_not_read_is_disconnected(server, path):
    with connecting(server, GET.replace(b"/", path, 1)) as connection:
        assert connection.recv(10).startswith(b"HTTP")
        wait_until_closed(server)


@pytest.mark.parametrize("path", [b"/large", b"/endless"])
def test_client_that_reads_slowly_is_disconnected(server, path):
    with connecting(server, GET.replace(b"/", path, 1)) as connection:
        waiting = threading.Event()
        while server.server_state.connections:
            connection.recv(1)
            waiting.wait(0.01)


def test_client_that_asks_and_never_reads_is_disconnected(server):
    with connecting(server) as connection:
        connection.setblocking(False)
        waiting = threading.Event()
        for _ in range(10_000):
            try:
                connection.send(GET.replace(b"/", b"/medium", 1) * 100)
            except BlockingIOError:
                waiting.wait(0.01)
            except ConnectionError:
                return
        pytest.fail("the connection was never closed")


def test_stalled_upload_is_answered_and_the_connection_closed(fitted):
    options = {"seconds": 1, "wait_seconds": WAIT_S}
    with serving(fitted, limits=Limits(seconds=0.1), server_options=options) as live:
        for refused in (b"", b"Content-Type: image/png\r\n"):  # before and after the first byte is read
            with socket.create_connection(live.address, timeout=60) as connection:
                connection.sendall(b"POST /v1/faces HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000\r\n" + refused)
                connection.sendall(b"\r\n")
                read = read_until_closed(connection, b"x")
                assert b" 408 " in read if refused else b" 415 " in read


def test_connection_is_closed_at_once_after_an_upload_that_took_too_long(fitted):
    """However long other waits may be, and although the client goes on sending."""
    options = {"seconds": 1_000, "wait_seconds": 1_000}
    with (
        serving(fitted, limits=Limits(seconds=0.1), server_options=options) as live,
        socket.create_connection(live.address, timeout=60) as connection,
    ):
        connection.sendall(b"POST /v1/faces HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000\r\n")
        connection.sendall(b"Content-Type: image/png\r\n\r\n")
        assert b" 408 " in read_until_closed(connection, b"x")


def test_many_requests_on_one_connection_are_answered():
    with (
        running(APP, seconds=60, wait_seconds=60) as server,
        httpx2.Client(base_url=f"http://127.0.0.1:{server.address[1]}", trust_env=False) as client,
    ):
        assert [client.get("/").status_code for _ in range(200)] == [200] * 200


class FakeTransport(asyncio.Transport):
    """Transport that keeps what is written."""

    def __init__(self):
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.written = b""
        self.closed = False

    def write(self, data):
        self.written += data

    def close(self):
        self.closed = True

    abort = close

    def is_closing(self):
        return self.closed

    def pause_reading(self):
        pass

    resume_reading = pause_reading


class CountingLoop:
    """The running loop, which keeps the deadlines that are set."""

    def __init__(self):
        self.loop = asyncio.get_running_loop()
        self.timers = []

    def call_later(self, delay, callback, *args):
        timer = self.loop.call_later(delay, callback, *args)
        if delay > 1_000:  # uvicorn's own is shorter
            self.timers.append(timer)
        return timer

    def __getattr__(self, name):
        return getattr(self.loop, name)


async def feed(chunks):
    """Feed received bytes to the protocol; check after each that one deadline is set."""
    config = uvicorn.Config(APP, http=deadline_protocol(wait_seconds=2_000, request_seconds=3_000), lifespan="off")
    config.load()
    loop, transport = CountingLoop(), FakeTransport()
    protocol = config.http_protocol_class(config, ServerState(), {}, loop)
    protocol.connection_made(transport)
    for chunk in chunks:
        if transport.is_closing():
            break
        n_before = len(loop.timers)
        protocol.data_received(chunk)
        assert len([timer for timer in loop.timers if not timer.cancelled()]) == 1
        # Only a request that is complete moves the deadline.
        assert len(loop.timers) <= n_before + 1 or b"GET" in chunk or b"POST" in chunk
        await asyncio.sleep(0)
    for _ in range(20):  # the tasks that answer
        await asyncio.sleep(0)
    n_requests = transport.written.count(b"HTTP/1.1 ")
    assert len(loop.timers) <= 1 + 2 * (n_requests + 1)
    protocol.connection_lost(None)
    assert all(timer.cancelled() for timer in loop.timers)


PIECES = (
    *(GET, POST, b"GET / HTTP/1.0\r\n\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"\r\n"),
    *(b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"Connection: close\r\n", b"G", b": \r\n", b"Expect: 100-continue\r\n"),
    *(b"\0\xff", b"Host: a\r\n", b"Upgrade: websocket\r\nConnection: upgrade\r\n", b"X" * 70_000),
)


@given(st.lists(st.sampled_from(PIECES) | st.binary(min_size=1, max_size=20), max_size=25))
@fuzzing(200)
def test_whatever_is_received_one_deadline_is_set(chunks):
    asyncio.run(feed(chunks))
