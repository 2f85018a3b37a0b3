"""Events reach a web server in order, though it fails, stalls, refuses or is away."""

import base64
import socket

import pytest

from maskkit.exceptions import PluginError, SinkWarning
from maskkit.sinks import WebhookSink
from maskkit.testing import check_sink
from tests.sinks.receivers import Receiver, SinkWorker, listen, make_events, wait_for_message


def start(url, *, timeout_s=30.0, **options):
    sink = WebhookSink(url, timeout_s=timeout_s)
    sink.open()
    return SinkWorker(sink, retry_s=(0.001, 0.01), **options)


def post(receiver, events, **options):
    with listen(receiver) as port:
        worker = start(f"http://127.0.0.1:{port}/hook", **options)
        for event in events:
            worker.put(event)
        worker.close(30)


def test_each_event_is_one_request_of_json_in_order():
    receiver, events = Receiver(), make_events("appeared", "alarm", "left", "minute", "end")
    post(receiver, events)
    assert receiver.accepted == [event.to_dict() for event in events]
    assert len(set(receiver.ids)) == len(events)
    assert {headers["Content-Type"] for headers in receiver.headers} == {"application/json"}


def test_a_snapshot_is_a_field_in_base64():
    receiver, (event,) = Receiver(), make_events("alarm", snapshot=b"\xff\xd8 a JPEG")
    post(receiver, [event])
    assert base64.b64decode(receiver.accepted[0].pop("snapshot_jpeg")) == event.snapshot
    assert receiver.accepted == [event.to_dict()]


def test_contract_holds():
    receiver = Receiver()
    with listen(receiver) as port:
        check_sink(WebhookSink(f"http://127.0.0.1:{port}/"))
    assert [event["event"] for event in receiver.accepted][-2:] == ["minute", "end"]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_that_fails_gets_the_event_again(status):
    receiver, events = Receiver(200, status, status), make_events("appeared", "left", "end")
    with pytest.warns(SinkWarning) as told:
        post(receiver, events)
    assert f"cannot be sent (OSError: HTTP status {status}); it is tried again" in str(told[0].message)
    assert "events arrive again" in str(told[1].message)
    assert receiver.ids == [event.id for event in events]
    assert receiver.n_requests == 5


@pytest.mark.parametrize("status", [302, 400, 404])
def test_a_server_that_refuses_is_told_once_and_its_events_are_counted(status):
    receiver, events = Receiver(200, status, status), make_events("appeared", "changed", "left", "end")
    with pytest.warns(SinkWarning) as told:
        post(receiver, events)
    assert receiver.ids == [events[0].id, events[3].id]
    assert receiver.n_requests == 4
    messages = [str(warning.message) for warning in told]
    assert len(messages) == 2
    assert f"refused (ValueError: HTTP status {status})" in messages[0]
    assert "2 of 4 events were lost: 2 refused" in messages[1]


def test_a_server_that_stalls_gets_the_event_again():
    receiver, events = Receiver(None), make_events("appeared", "end")
    with pytest.warns(SinkWarning) as told:
        post(receiver, events, timeout_s=0.2)
    assert "timed out" in str(told[0].message)
    assert receiver.ids == [event.id for event in events]


def test_a_server_that_is_away_gets_everything_when_it_is_back():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        worker, events = start(f"http://127.0.0.1:{port}/"), make_events(*["minute"] * 20)
        for event in events[:10]:
            worker.put(event)
        wait_for_message(worker)
    with pytest.warns(SinkWarning, match="Connection refused"):
        worker.report()
    receiver = Receiver()
    with listen(receiver, port):
        for event in events[10:]:
            worker.put(event)
        with pytest.warns(SinkWarning, match=r"events arrive again after \d+ s: 20 late, 0 lost meanwhile"):
            worker.close(30)
    assert receiver.ids == [event.id for event in events]


def test_a_server_that_closes_the_connection_gets_the_event_again():
    with socket.create_server(("127.0.0.1", 0)) as server:
        worker = start(f"http://127.0.0.1:{server.getsockname()[1]}/")
        worker.put(make_events("end")[0])
        for answer in (b"", b"nonsense\r\n", b"HTTP/1.1 204 No Content\r\n\r\n"):
            connection = server.accept()[0]
            with connection:
                connection.recv(65_536)
                connection.sendall(answer)
        with pytest.warns(SinkWarning) as told:
            worker.close(30)
        assert "it is tried again" in str(told[0].message)


@pytest.mark.parametrize(
    ("login", "variable", "expected"),
    [
        ("", None, None),
        ("", "Bearer abc", "Bearer abc"),
        ("me:p%40ss@", "Bearer abc", f"Basic {base64.b64encode(b'me:p@ss').decode()}"),
    ],
)
def test_authorization_comes_from_the_environment_or_the_url(monkeypatch, login, variable, expected):
    monkeypatch.delenv("MASKKIT_WEBHOOK_AUTHORIZATION", raising=False)
    if variable:
        monkeypatch.setenv("MASKKIT_WEBHOOK_AUTHORIZATION", variable)
    receiver = Receiver()
    with listen(receiver) as port:
        worker = start(f"http://{login}127.0.0.1:{port}/")
        worker.put(make_events("end")[0])
        worker.close(30)
    assert receiver.headers[0].get("Authorization") == expected


@pytest.mark.parametrize(
    "address",
    [
        "ftp://host/Geheim", "https:///Geheim", "https://[host/Geheim", "https://host/Ge heim-Geheim", "Geheim",
        "https://host:99999/Geheim", "https://höst/Geheim", "",
    ],
)  # fmt: skip
def test_an_address_that_is_none_is_one_error_without_it(address):
    with pytest.raises(PluginError) as error:
        WebhookSink(address).open()
    assert "webhook" in str(error.value)
    assert "Geheim" not in str(error.value)


def test_messages_show_only_the_host(monkeypatch):
    sink = WebhookSink("https://me:Geheim@hooks.example:8443/services/Geheim?token=Geheim")
    assert sink.name == "webhook https://hooks.example:8443"
    monkeypatch.setenv("MASKKIT_WEBHOOK_AUTHORIZATION", "Bearer Geheim\r\nX: y")
    with pytest.raises(PluginError, match="contains line breaks") as error:
        WebhookSink("https://hooks.example/").open()
    assert "Geheim" not in str(error.value)
