"""Events and retained states reach a real MQTT broker, also after it was away."""

import gc
import json
import re
import shutil
import subprocess
from datetime import UTC, datetime

import pytest

pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed: pip install 'maskkit[mqtt]'")

from maskkit import WatchEvent
from maskkit.exceptions import PluginError, SinkWarning
from maskkit.sinks import MqttSink
from maskkit.testing import check_sink
from tests.sinks.brokers import Listener, find_port, hide_broker, needs_broker, run_broker
from tests.sinks.receivers import SinkWorker, make_events, wait_for_message

TOPIC = "door/camera 1"
URL = "mqtt://127.0.0.1:{}/door/camera%201"


@pytest.fixture
def port(tmp_path):
    port = find_port()
    with run_broker(tmp_path, port):
        yield port


def make_sink(port):
    return MqttSink(URL.format(port), reconnect_s=(0.02, 0.05))


def start(port):
    sink = make_sink(port)
    sink.open()
    return sink


def make_event(kind, **details):
    return WatchEvent(kind, 1.0, datetime.now(UTC), details)


def is_online(messages):
    return (f"{TOPIC}/availability", "online", False) in messages


def is_offline(messages):
    return (f"{TOPIC}/availability", "offline", False) in messages


@needs_broker
def test_contract_holds(port):
    with Listener(port) as listener:
        check_sink(make_sink(port))
        listener.wait(is_offline)
    events = [json.loads(text)["event"] for topic, text, _ in listener.messages if topic == f"{TOPIC}/events"]
    assert events[-2:] == ["minute", "end"]
    assert len(events) == 11


@needs_broker
def test_events_arrive_in_order_and_are_not_retained(port):
    events = make_events("appeared", "decided", "left", "stream_lost", "end")
    with Listener(port) as listener:
        worker = SinkWorker(start(port))
        for event in events:
            worker.put(event)
        worker.close(30)
        listener.wait(is_offline)
    assert [text for topic, text, _ in listener.messages if topic == f"{TOPIC}/events"] == [e.to_json() for e in events]
    with Listener(port) as late:
        late.wait(lambda messages: len(messages) == 3)
    assert {topic.rpartition("/")[2] for topic, _, retained in late.messages if retained} == {
        "config", "state", "availability",
    }  # fmt: skip


@needs_broker
def test_home_assistant_gets_a_retained_discovery_of_states_that_exist(port):
    sink = start(port)
    with Listener(port) as listener:
        listener.wait(lambda messages: len(messages) == 3)
    found = {topic: text for topic, text, _ in listener.messages}
    (config_topic,) = [topic for topic in found if topic.startswith("homeassistant/")]
    # Topics, keys and their values as in Home Assistant: components/mqtt/discovery.py and schemas.py.
    assert re.fullmatch(r"homeassistant/device/[a-zA-Z0-9_-]+/config", config_topic)
    config = json.loads(found[config_topic])
    assert set(config) == {"device", "origin", "availability_topic", "qos", "components"}
    assert set(config["device"]) <= {"identifiers", "name", "manufacturer", "sw_version"}
    assert set(config["origin"]) <= {"name", "sw_version"}
    assert found[config["availability_topic"]] == "online"
    components = config["components"]
    assert {component["platform"] for component in components.values()} == {"sensor", "binary_sensor"}
    assert len({component["unique_id"] for component in components.values()}) == len(components) == 4
    for component in components.values():
        (key,) = re.fullmatch(r"\{\{ value_json\.(\w+) \}\}", component["value_template"]).groups()
        assert key in json.loads(found[component["state_topic"]])
    assert components["alarm"]["device_class"] == "problem"
    sink.close()


@needs_broker
def test_the_state_counts_the_last_minute_and_shows_the_alarm(port):
    with Listener(port) as listener:
        sink = start(port)
        persons = {"mask_worn_incorrectly": 1, "without_mask": 2, "with_mask": 3, "uncertain": 4, "hat": 5}
        for event in (
            make_event("alarm", person=1),
            make_event("minute", persons=persons),
            make_event("alarm_over"),
            make_event("minute", persons={}),
        ):
            sink.send(event)
        sink.close()
        listener.wait(is_offline)
    states = [json.loads(text) for topic, text, _ in listener.messages if topic == f"{TOPIC}/state"]
    nobody = {"without_mask": 0, "with_mask": 0, "worn_incorrectly": 0, "other": 0}
    counts = {"without_mask": 2, "with_mask": 3, "worn_incorrectly": 1, "other": 9}
    assert states == [
        {**dict.fromkeys(nobody), "alarm": "OFF"},
        {**dict.fromkeys(nobody), "alarm": "ON"},
        {**counts, "alarm": "ON"},
        {**counts, "alarm": "OFF"},
        {**nobody, "alarm": "OFF"},
    ]


def find_images(messages):
    """Return the image components of the last discovery."""
    config = [json.loads(payload) for topic, payload, _ in messages if topic.endswith("/config")][-1]
    return [component for component in config["components"].values() if component["platform"] == "image"]


@needs_broker
def test_a_snapshot_has_a_topic_and_a_discovery_of_its_own_which_a_restarted_broker_gets_again(tmp_path):
    port, (event,) = find_port(), make_events("alarm", snapshot=b"a JPEG")
    with run_broker(tmp_path, port), Listener(port) as listener:
        sink = start(port)
        listener.wait(is_online)
        assert find_images(listener.messages) == []
        sink.send(event)
        listener.wait(lambda messages: messages[-1][0] == f"{TOPIC}/state")
        (image,) = find_images(listener.messages)
        show_broker = hide_broker(sink)
    # The keys of Home Assistant's components/mqtt/image.py.
    assert set(image) == {"platform", "name", "unique_id", "image_topic", "content_type"}
    assert (image["image_topic"], "a JPEG", False) in listener.messages
    assert (f"{TOPIC}/events", event.to_json(), False) in listener.messages
    with run_broker(tmp_path, port):
        with Listener(port) as listener:
            show_broker()
            listener.wait(is_online)
            assert find_images(listener.messages) == [image]
        with Listener(port) as late:
            late.wait(lambda messages: (image["image_topic"], "a JPEG", True) in messages)
        sink.close()


@needs_broker
def test_the_broker_says_offline_when_the_connection_is_lost(port):
    with Listener(port) as listener:
        sink = start(port)
        listener.wait(is_online)
        sink._client.loop_stop()
        sink._client._sock_close()
        listener.wait(is_offline)


@needs_broker
@pytest.mark.filterwarnings("ignore:.*(it is tried again|events arrive again):maskkit.exceptions.SinkWarning")
def test_a_broker_that_was_killed_gets_everything_when_it_is_back(tmp_path):
    port, events = find_port(), make_events(*["appeared"] * 5, "alarm", *["left"] * 5)
    with run_broker(tmp_path, port), Listener(port) as listener:
        sink = start(port)
        worker = SinkWorker(sink, retry_s=(0.01, 0.02))
        for event in events[:4]:
            worker.put(event)
        listener.wait(lambda messages: len(messages) == 7)
        # Events are not retained, so the sink must not find the new broker before the listener has subscribed.
        show_broker = hide_broker(sink)
    received = [text for topic, text, _ in listener.messages if topic == f"{TOPIC}/events"]
    for event in events[4:]:
        worker.put(event)
    with run_broker(tmp_path, port), Listener(port) as listener:
        show_broker()
        worker.close(30)
        listener.wait(is_offline)
    retained = {topic.partition("/")[0] for topic, _, _ in listener.messages if not topic.endswith("/events")}
    assert retained == {"homeassistant", "door"}
    received += [text for topic, text, _ in listener.messages if topic == f"{TOPIC}/events"]
    # An event may come twice, but none is missing and none is out of order.
    assert list(dict.fromkeys(received)) == [event.to_json() for event in events]


@needs_broker
def test_a_broker_that_is_not_there_is_told_before_the_first_event_and_gets_all_events_later(tmp_path):
    port, events = find_port(), make_events("appeared", "left", "end")
    worker = SinkWorker(start(port), retry_s=(0.01, 0.02))
    wait_for_message(worker)
    with pytest.warns(SinkWarning) as told:
        worker.report()
    assert [str(warning.message) for warning in told] == [
        f"sink mqtt mqtt://127.0.0.1:{port}/door/camera%201: the receiver cannot be reached (ConnectionError: no "
        f"connection to the broker: Connection refused); start it, or correct its address or the login. Events wait "
        f"for it."
    ]
    with run_broker(tmp_path, port), Listener(port) as listener:
        for event in events:
            worker.put(event)
        with pytest.warns(SinkWarning, match=r"events arrive again after \d+ s: \d late, 0 lost meanwhile"):
            worker.close(30)
        listener.wait(is_offline)
    assert [text for topic, text, _ in listener.messages if topic == f"{TOPIC}/events"] == [e.to_json() for e in events]


@needs_broker
def test_a_broker_that_refuses_is_told_without_the_password(tmp_path, monkeypatch):
    port = find_port()
    monkeypatch.setenv("MASKKIT_MQTT_PASSWORD", "Geheim")
    with run_broker(tmp_path, port, "allow_anonymous false"):
        sink = MqttSink(f"mqtt://user:Geheim@127.0.0.1:{port}/door", timeout_s=30, reconnect_s=(0.02, 0.05))
        sink.open()
        assert sink._answered.wait(30)
        sink.timeout_s = 0.3
        worker = SinkWorker(sink)
        wait_for_message(worker)
        worker.put(make_events("end")[0])
        with pytest.warns(SinkWarning) as told:
            worker.close(0)
    assert f"sink mqtt mqtt://127.0.0.1:{port}/door" in str(told[0].message)
    assert "the broker refuses the connection: Not authorized" in str(told[0].message)
    assert "1 of 1 events were lost" in str(told[1].message)
    assert not [warning for warning in told if "Geheim" in str(warning.message)]


@needs_broker
# paho-mqtt 2.2 does not close the socket when it does not trust the certificate.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_tls_needs_a_certificate_that_is_trusted(tmp_path, monkeypatch):
    key, certificate, port = tmp_path / "key.pem", tmp_path / "certificate.pem", find_port()
    subprocess.run(
        ["openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    (event,) = make_events("end")
    settings = ("allow_anonymous true", f"cafile {certificate}", f"certfile {certificate}", f"keyfile {key}")
    with run_broker(tmp_path, port, *settings):
        sink = MqttSink(f"mqtts://127.0.0.1:{port}/door", timeout_s=30, reconnect_s=(0.02, 0.05))
        sink.open()
        with pytest.raises(ConnectionError, match=r"no connection to the broker: .*certificate verify failed"):
            sink.connect()
        sink.close()
        sink._client._thread.join(30)
        del sink
        gc.collect()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        trusting = MqttSink(f"mqtts://127.0.0.1:{port}/door")
        trusting.open()
        trusting.connect()
        trusting.send(event)
        trusting.close()


@pytest.mark.parametrize(
    "address",
    [
        "mqtt://host", "mqtt://host/", "http://host/topic", "mqtt:///Geheim", "mqtt://host/a/+/Geheim", "mqtt://host/%23",
        "mqtt://host/$SYS/Geheim", "mqtt://host:port/Geheim", "mqtt://[host/Geheim", "",
    ],
)  # fmt: skip
def test_an_address_that_is_none_is_one_error_without_it(address):
    with pytest.raises(PluginError, match="want mqtt:mqtt://HOST/TOPIC") as error:
        MqttSink(address).open()
    assert "Geheim" not in str(error.value)
