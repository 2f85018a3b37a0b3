from ._base import Sink as Sink
from .jsonl import JsonlSink as JsonlSink
from .mqtt import MqttSink as MqttSink
from .webhook import WebhookSink as WebhookSink
