"""The file of events is only ever added to."""

import json

import pytest

from maskkit.exceptions import OutputError
from maskkit.sinks import JsonlSink
from maskkit.testing import check_sink
from tests.sinks.receivers import make_events


def test_contract_holds():
    check_sink("jsonl")
    check_sink("jsonl:deep/events.jsonl")


def test_events_are_appended_at_once_also_after_half_a_line(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_text('{"event": "end"}\n{"eve', encoding="utf-8")
    sink, (event,) = JsonlSink(path), make_events("minute")
    sink.open()
    sink.send(event)
    assert path.read_text(encoding="utf-8").splitlines() == ['{"event": "end"}', '{"eve', event.to_json()]
    assert json.loads(event.to_json())["id"] == event.id
    sink.close()


def test_a_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(OutputError, match="holds something else than events"):
        JsonlSink(path).open()
    assert path.read_text(encoding="utf-8") == "mine"


def test_a_file_that_cannot_be_written_is_one_error(tmp_path):
    with pytest.raises(OutputError, match=r"cannot be written to \(File name too long\); choose another"):
        JsonlSink(tmp_path / ("a" * 300)).open()
