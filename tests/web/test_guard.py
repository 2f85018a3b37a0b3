"""Token, allowed hosts and origins, and the headers of responses."""

import socket

import pytest
from hypothesis import given, strategies as st

from maskkit.web import create_app
from maskkit.web._guard import parse_host
from tests.conftest import fuzzing
from tests.web.conftest import serving_client

PNG = {"Content-Type": "image/png"}


@pytest.fixture(scope="module")
def guarded(fitted):
    """A client of a server with a token, behind a named proxy."""
    with serving_client(fitted, token="s3cret ~!", hosts=["https://Masks.example.org.:8443/"]) as client:
        yield client


def bearer(token):
    return {"Authorization": b"Bearer " + token.encode()}


def test_missing_token_is_refused(guarded, photo):
    for path in ("/v1/faces", "/v1/model", "/metrics", "/v1/nothing"):
        response = guarded.post(path, content=photo, headers=PNG)
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"
        assert response.json()["error"]["code"] == "unauthorized"


@pytest.mark.parametrize("header", [b"Bearer wrong", b"Bearer", b"Basic s3cret", b"s3cret", b"Bearer \xff\xfe"])
def test_wrong_token_is_refused(guarded, header):
    assert guarded.get("/v1/model", headers={"Authorization": header}).status_code == 401


def test_correct_token_is_accepted(guarded, photo):
    assert guarded.post("/v1/faces", content=photo, headers=PNG | bearer("s3cret ~!")).status_code == 200
    assert guarded.get("/metrics", headers={"Authorization": b"bearer  s3cret ~!"}).status_code == 200


def test_page_and_health_check_need_no_token(guarded):
    for path in ("/", "/health", "/openapi.json", "/static/app.js"):
        assert guarded.get(path).status_code == 200


def test_empty_token_is_an_error(fitted):
    for token in ("", "  "):
        with pytest.raises(ValueError, match="the token is empty"):
            create_app(fitted, token=token)


@pytest.mark.parametrize("token", ["secret ", "secret\n", " secret", "sécret", "日本", "a\0b", "\x7f", "a\tb"])
def test_token_that_not_every_client_can_send_is_an_error(fitted, token):
    with pytest.raises(ValueError, match="the token has a space at an end, a line end or a character outside ASCII"):
        create_app(fitted, token=token)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("masks.example.org", "masks.example.org"),
        ("Masks.Example.ORG", "masks.example.org"),
        ("masks.example.org.", "masks.example.org"),
        ("masks.example.org:8443", "masks.example.org"),
        ("https://masks.example.org:8443/", "masks.example.org"),
        ("//masks.example.org", "masks.example.org"),
        (" masks ", "masks"),
        ("my_host-1", "my_host-1"),
        ("münchen.example", "xn--mnchen-3ya.example"),
        ("192.168.0.7", "192.168.0.7"),
        ("192.168.0.7:80", "192.168.0.7"),
        ("::1", "::1"),
        ("[FE80::1]", "fe80::1"),
        ("[fe80::1]:8443", "fe80::1"),
        ("http://[::1]:80", "::1"),
    ],
)
def test_allowed_host_may_be_written_in_any_form(given, name):
    assert parse_host(given) == name


NO_HOSTS = ("", " ", "*", "*.example.org", "a b", "https://", "a/path", "http://a/path", "a?b", "a#b", "user@a", "a,b")


@pytest.mark.parametrize(
    "given", [*NO_HOSTS, "a:b", "a:99999", "[::1", "[x]", "1:2:3", "a..b", ".", "-" * 300, "a\nb", "\0"]
)
def test_allowed_host_that_is_no_name_is_an_error(fitted, given):
    with pytest.raises(ValueError, match="is not a host name; pass a name such as"):
        create_app(fitted, hosts=[given])


@given(st.text(max_size=30))
@fuzzing(300)
def test_any_allowed_host_is_a_name_or_an_error(given):
    try:
        name = parse_host(given)
    except ValueError:
        return
    assert parse_host(name) == parse_host(f"https://{name}:1/" if ":" not in name else name) == name


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:8000", 200),
        ("127.0.0.1:8000", 200),
        ("[::1]:8000", 200),
        ("192.168.0.7", 200),
        ("masks.example.org", 200),
        ("masks.example.org:8443", 200),
        ("MASKS.example.org.", 200),
        ("localhost.", 200),
        ("attacker.example", 403),  # a name that points at 127.0.0.1
        ("localhost.attacker.example", 403),
        ("127.0.0.1.attacker.example:8000", 403),
        ("", 403),
        ("[::1", 403),
    ],
)
def test_only_allowed_hosts_are_answered(guarded, host, status):
    assert guarded.get("/health", headers={"Host": host}).status_code == status


def ask(client, request):
    with socket.create_connection((client.base_url.host, client.base_url.port), timeout=60) as connection:
        connection.sendall(request)
        return connection.makefile("rb").readline()


def test_request_without_a_host_is_answered(guarded):
    """Health checks of HTTP/1.0 send none; HTTP/1.1 demands one, and forbids two."""
    assert b" 200 " in ask(guarded, b"GET /health HTTP/1.0\r\n\r\n")
    assert b" 200 " in ask(guarded, b"HEAD / HTTP/1.0\r\n\r\n")
    assert b" 403 " in ask(guarded, b"GET /health HTTP/1.0\r\nHost: attacker.example\r\n\r\n")
    assert b" 401 " in ask(guarded, b"GET /metrics HTTP/1.0\r\n\r\n")
    assert b" 400 " in ask(guarded, b"GET /health HTTP/1.1\r\n\r\n")
    assert b" 400 " in ask(guarded, b"GET /health HTTP/1.1\r\nHost: a\r\nHost: localhost\r\n\r\n")


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:8123", 200),
        ("https://masks.example.org", 200),  # a proxy may use another name for this server
        ("http://localhost:3000", 403),
        ("https://attacker.example", 403),
        ("https://localhost.attacker.example", 403),
        ("null", 403),
    ],
)
def test_requests_from_other_origins_are_refused(guarded, photo, origin, status):
    headers = PNG | bearer("s3cret ~!") | {"Host": "localhost:8123", "Origin": origin}
    assert guarded.post("/v1/faces", content=photo, headers=headers).status_code == status


def test_sec_fetch_site_is_respected(client):
    def ask(site, mode):
        return client.get("/health", headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode}).status_code

    assert ask("same-origin", "cors") == 200
    assert ask("none", "navigate") == 200
    assert ask("cross-site", "navigate") == 200  # a link
    assert ask("cross-site", "no-cors") == 403  # an image or script in another page
    assert ask("same-site", "cors") == 403


def test_every_response_has_security_headers(client, photo):
    for response in (
        client.get("/"),
        client.get("/static/app.js"),
        client.get("/nothing"),
        client.post("/v1/faces", content=photo, headers=PNG),
        client.get("/health", headers={"Host": "attacker.example"}),
    ):
        headers = response.headers
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
        assert "unsafe" not in headers["content-security-policy"]
        assert "http" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cache-control"] == "no-store"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers


def test_internal_error_does_not_leak_the_request(fitted, photo, monkeypatch, caplog):
    def fail(*_):
        raise ZeroDivisionError("private.png")

    monkeypatch.setattr("maskkit.web._app.read_uploads", fail)
    with serving_client(fitted) as client:
        response = client.post("/v1/faces", content=photo, headers=PNG)
        counted = client.get("/metrics").text
    assert response.status_code == 500
    assert response.json() == {"error": {"code": "internal_error", "message": "Internal server error."}}
    assert response.headers["x-content-type-options"] == "nosniff"
    assert 'maskkit_requests_total{path="/v1/faces",status="500"} 1.0' in counted
    assert "/v1/faces: ZeroDivisionError" in caplog.text
    assert "in fail" in caplog.text
    assert "private" not in caplog.text.replace('ZeroDivisionError("private.png")', "")  # the source line of this test


def test_nothing_is_sent_to_an_opentelemetry_collector(fitted, photo, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as collector:
        collector.setblocking(False)
        host, port = collector.getsockname()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{host}:{port}")
        with serving_client(fitted) as client:
            assert client.post("/v1/faces?name=private.png", content=photo, headers=PNG).status_code == 200
        with pytest.raises(BlockingIOError):
            collector.accept()
