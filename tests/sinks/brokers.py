"""A real MQTT broker, and a client that hears everything."""

import os
import shutil
import socket
import subprocess
import threading
import time
from contextlib import contextmanager

import paho.mqtt.client as paho
import pytest

MOSQUITTO = shutil.which("mosquitto", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))
needs_broker = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed: apt-get install mosquitto")


def find_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def is_open(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def run_broker(folder, port, *settings):
    """Run a broker that keeps nothing when it ends."""
    file = folder / f"{port}.conf"
    settings = settings or ("allow_anonymous true",)
    # Started by root, it would otherwise run as a user who cannot read the files of a test.
    lines = [f"listener {port} 127.0.0.1", "persistence false", "user root", *settings]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    broker = subprocess.Popen([MOSQUITTO, "-c", file], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end_s = time.monotonic() + 30
        while not is_open(port):
            assert broker.poll() is None, "the broker does not start"
            assert time.monotonic() < end_s
            time.sleep(0.01)
        yield broker
    finally:
        broker.kill()
        broker.wait()


def hide_broker(sink):
    """Let a connected sink find no broker once the connection is lost; return a function that ends this."""

    def refuse():
        raise ConnectionRefusedError

    sink._client.reconnect = refuse
    return lambda: delattr(sink._client, "reconnect")


class Listener:
    """Hears all messages that a broker has retained or gets from now on: (topic, payload, whether it was retained)."""

    def __init__(self, port):
        self.messages, self.changed = [], threading.Condition()
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self.client.on_message = self.hear
        subscribed = threading.Event()
        self.client.on_subscribe = lambda *_: subscribed.set()
        self.client.connect("127.0.0.1", port)
        self.client.subscribe("#", qos=1)
        self.client.loop_start()
        # A message that the broker gets before the subscription would never be heard.
        assert subscribed.wait(30)

    def hear(self, client, userdata, message):
        with self.changed:
            self.messages.append((message.topic, message.payload.decode(errors="replace"), bool(message.retain)))
            self.changed.notify_all()

    def wait(self, condition):
        with self.changed:
            assert self.changed.wait_for(lambda: condition(self.messages), 30), self.messages

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.disconnect()
        self.client.loop_stop()
