from ._base import Sink as Sink
from .jsonl import JsonlSink as JsonlSink
from .webhook import WebhookSink as WebhookSink
