"""Sink that publishes events to an MQTT broker, with discovery by Home Assistant."""

import hashlib
import os
import re
import sys
import threading
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as paho

from maskkit import __version__
from maskkit._labels import INCORRECT, MASKED, UNMASKED, meaning_of
from maskkit._text import to_json
from maskkit.exceptions import PluginError
from maskkit.sinks._base import WatchEvent

PASSWORD_VARIABLE = "MASKKIT_MQTT_PASSWORD"

_PORTS = {"mqtt": 1883, "mqtts": 8883}
_KEEPALIVE_S = 30

# More messages than one event and a few connections need. paho-mqtt would keep any number.
_MAX_MESSAGES = 100

_COUNTS = {UNMASKED: "without_mask", MASKED: "with_mask", INCORRECT: "worn_incorrectly", None: "other"}
_NAMES = {
    "without_mask": "Without mask",
    "with_mask": "With mask",
    "worn_incorrectly": "Mask worn incorrectly",
}


class MqttSink:
    """Publishes each event to an MQTT broker, with sensors for Home Assistant; needs the extra ``mqtt``.

    Everything is published with the quality of service 1, and except for the events it is retained:

    - ``TOPIC/events``: each event as JSON;
    - ``TOPIC/state``: JSON with the persons of the last minute, ``without_mask``, ``with_mask``, ``worn_incorrectly``
      and ``other``, and ``alarm``, which is ``"ON"`` or ``"OFF"``;
    - ``TOPIC/snapshot``: the JPEG of the last alarm that has one;
    - ``TOPIC/availability``: ``online``, and ``offline`` after the end, also by the broker when the connection is lost;
    - ``homeassistant/device/ID/config``: the discovery of the sensors.

    Parameters
    ----------
    url : str
        Address of the broker and the topic: ``mqtt://user:password@host:1883/TOPIC``, or ``mqtts://`` for TLS.
    password : str, optional
        Password, if it is not in the address. By default that of the environment variable ``MASKKIT_MQTT_PASSWORD``.
    discovery_prefix : str, default="homeassistant"
        First part of the topic of the discovery.
    timeout_s : float, default=10
        Time to wait for the connection and for the broker's confirmation before an event is tried again, in seconds.
    reconnect_s : tuple of (float, float), default=(1, 60)
        First and longest pause before a lost connection is opened again, in seconds.
    """

    def __init__(
        self,
        url: str,
        password: str | None = None,
        discovery_prefix: str = "homeassistant",
        timeout_s: float = 10.0,
        reconnect_s: tuple[float, float] = (1.0, 60.0),
    ):
        self.url = url
        self.password = password
        self.discovery_prefix = discovery_prefix
        self.timeout_s = timeout_s
        self.reconnect_s = reconnect_s

    @property
    def name(self) -> str:
        """The name in messages, without user and password."""
        parts = urlsplit(self.url)
        return f"mqtt {parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    def open(self) -> None:
        """Begin to connect; raise PluginError if the address is none."""
        try:
            parts = urlsplit(self.url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        topic = unquote(parts.path).strip("/")
        if parts.scheme not in _PORTS or not parts.hostname or not topic or re.search(r"[+#\0]|^\$", topic):
            raise PluginError(
                "sink mqtt: its address is not that of a broker and a topic; want mqtt:mqtt://HOST/TOPIC, with a topic "
                "without + and #."
            )
        self._topic = topic
        self._state: dict[str, Any] = {**dict.fromkeys(_COUNTS.values()), "alarm": "OFF"}
        self._snapshot: bytes | None = None
        self._pending: tuple[str, Sequence[Any]] = ("", ())
        self._connected, self._answered = threading.Event(), threading.Event()
        self._reason = "the broker does not answer"
        self._client = client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        client.on_connect, client.on_disconnect = self._greet, self._lose_connection
        client.on_connect_fail = self._note_failure
        if parts.username is not None:
            password = unquote(parts.password) if parts.password else self.password or os.environ.get(PASSWORD_VARIABLE)
            client.username_pw_set(unquote(parts.username), password)
        if parts.scheme == "mqtts":
            client.tls_set()
        client.will_set(f"{topic}/availability", "offline", qos=1, retain=True)
        client.max_queued_messages_set(_MAX_MESSAGES)
        client.reconnect_delay_set(*self.reconnect_s)
        client.connect_async(parts.hostname, port or _PORTS[parts.scheme], _KEEPALIVE_S)
        client.loop_start()

    def connect(self) -> None:
        """Wait for the first connection; raise OSError if it fails, is refused or takes too long."""
        self._answered.wait(self.timeout_s)
        if not self._connected.is_set():
            raise ConnectionError(self._reason)

    def send(self, event: WatchEvent) -> None:
        """Publish the event, and the state if it has changed; raise OSError if the broker does not confirm it."""
        if not self._connected.wait(self.timeout_s):
            raise ConnectionError(self._reason)
        # An event that is tried again is still with paho-mqtt, which publishes it when the connection is back.
        if self._pending[0] != event.id:
            messages = [self._publish("events", event.to_json(), retain=False)]
            if event.snapshot is not None:
                if self._snapshot is None:
                    messages.append(self._announce(has_image=True))
                self._snapshot = event.snapshot
                messages.append(self._publish("snapshot", self._snapshot))
            if self._update_state(event):
                messages.append(self._publish("state", to_json(self._state)))
            self._pending = (event.id, messages)
        try:
            for message in self._pending[1]:
                message.wait_for_publish(self.timeout_s)
                if not message.is_published():
                    raise TimeoutError("the broker has not confirmed it")
        except (RuntimeError, ValueError) as exc:  # The connection broke at that moment.
            self._pending = ("", ())
            raise ConnectionError(str(exc)) from None

    def close(self) -> None:
        """Publish that the sensors are offline, and disconnect."""
        is_connected = self._connected.is_set()
        if is_connected:
            try:
                self._publish("availability", "offline").wait_for_publish(self.timeout_s)
            except (RuntimeError, ValueError):
                is_connected = False  # The broker publishes the same when the connection is lost.
        self._client.disconnect()
        if is_connected:
            self._client.loop_stop()

    def _publish(self, name: str, payload: str | bytes, *, retain: bool = True) -> Any:
        return self._client.publish(f"{self._topic}/{name}", payload, qos=1, retain=retain)

    def _greet(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        """Publish what is retained, each time, because a broker that was restarted may have lost it."""
        if reason.is_failure:
            self._reason = f"the broker refuses the connection: {reason}"
            self._answered.set()
            return
        self._announce(has_image=self._snapshot is not None)
        if self._snapshot is not None:
            self._publish("snapshot", self._snapshot)
        self._publish("state", to_json(self._state))
        self._publish("availability", "online")
        self._connected.set()
        self._answered.set()

    def _note_failure(self, client: Any, userdata: Any) -> None:
        error = sys.exception()  # paho-mqtt calls this while it handles the error.
        self._reason = f"no connection to the broker: {getattr(error, 'strerror', None) or error}"
        self._answered.set()

    def _announce(self, *, has_image: bool) -> Any:
        discovery = _describe_device(self._topic, has_image=has_image)
        topic = f"{self.discovery_prefix}/device/{discovery['device']['identifiers'][0]}/config"
        return self._client.publish(topic, to_json(discovery), qos=1, retain=True)

    def _lose_connection(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        if self._connected.is_set():
            self._reason = "the connection to the broker was lost"
        self._connected.clear()

    def _update_state(self, event: WatchEvent) -> bool:
        """Update the state by an event; return whether it has changed."""
        state = dict(self._state)
        if event.event == "minute":
            state |= dict.fromkeys(_COUNTS.values(), 0)
            for decision, count in event.details["persons"].items():
                state[_COUNTS[meaning_of(decision)]] += count
        elif event.event in ("alarm", "alarm_over"):
            state["alarm"] = "ON" if event.event == "alarm" else "OFF"
        is_changed, self._state = state != self._state, state
        return is_changed


def _describe_device(topic: str, *, has_image: bool) -> dict[str, Any]:
    """Return the discovery of a device with all its sensors, and the image of the last alarm once there is one.

    Source: https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload. Home Assistant refuses a device
    with any other key beside these five.
    """
    # Identifiers may hold no other letters; the checksum keeps topics apart that differ in others.
    checksum = hashlib.sha256(topic.encode()).hexdigest()[:8]
    identifier = f"maskkit_{re.sub('[^a-zA-Z0-9_-]', '_', topic)}_{checksum}"
    components: dict[str, dict[str, Any]] = {
        key: {"platform": "sensor", "name": name, "state_class": "measurement"} for key, name in _NAMES.items()
    }
    components["alarm"] = {"platform": "binary_sensor", "name": "Alarm", "device_class": "problem"}
    for key, component in components.items():
        component |= {
            "unique_id": f"{identifier}_{key}",
            "state_topic": f"{topic}/state",
            "value_template": f"{{{{ value_json.{key} }}}}",
        }
    if has_image:
        components["snapshot"] = {
            "platform": "image",
            "name": "Last alarm",
            "unique_id": f"{identifier}_snapshot",
            "image_topic": f"{topic}/snapshot",
            "content_type": "image/jpeg",
        }
    return {
        "device": {"identifiers": [identifier], "name": topic, "manufacturer": "maskkit", "sw_version": __version__},
        "origin": {"name": "maskkit", "sw_version": __version__},
        "availability_topic": f"{topic}/availability",
        "qos": 1,
        "components": components,
    }
