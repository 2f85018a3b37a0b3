"""A slow or broken sink delays nobody, and every event that it does not get is counted."""

import re
import threading
import warnings

import pytest

from maskkit.exceptions import SinkWarning
from tests.sinks.receivers import SinkWorker, close_workers, make_events, wait_for_message, wait_until_sent


class Recorder:
    """Keeps events; raises the given errors first, and waits for `go_on` if it is to be slow."""

    name = "recorder"

    def __init__(self, *errors, slow=False):
        self.errors, self.events, self.n_closed = list(errors), [], 0
        self.started, self.go_on = threading.Event(), threading.Event()
        if not slow:
            self.go_on.set()

    def send(self, event):
        self.started.set()
        self.go_on.wait(30)
        if self.errors and (error := self.errors.pop(0)) is not None:
            raise error
        self.events.append(event)

    def close(self):
        self.n_closed += 1


def run_worker(sink, events, *, timeout_s=30.0, **options):
    worker = SinkWorker(sink, retry_s=(0.001, 0.002), **options)
    for event in events:
        worker.put(event)
    worker.close(timeout_s)


def test_events_arrive_in_order_and_the_sink_is_closed_once():
    sink, events = Recorder(), make_events(*["minute"] * 50)
    run_worker(sink, events)
    assert sink.events == events
    assert sink.n_closed == 1


def read(told):
    """Return the texts of warnings, without times."""
    return [re.sub(r"after \d+ s", "after some s", str(warning.message)) for warning in told]


def test_an_os_error_is_tried_again_and_told_once_with_its_end():
    sink, events = Recorder(*[ConnectionError("not there")] * 3), make_events("appeared", "left")
    with pytest.warns(SinkWarning) as told:
        run_worker(sink, events)
    assert sink.events == events
    assert read(told) == [
        "sink recorder: an event cannot be sent (ConnectionError: not there); it is tried again.",
        "sink recorder: events arrive again after some s: 2 late, 0 lost meanwhile.",
    ]


def test_every_outage_is_told_though_python_shows_a_text_once():
    sink = Recorder(None, ConnectionError("away"), None, ConnectionError("away"), None)
    worker = SinkWorker(sink, retry_s=(0.001, 0.002))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("default")
        for n_sent, event in enumerate(make_events("appeared", "left", "end"), 1):
            worker.put(event)
            wait_until_sent(worker, n_sent)
        worker.close(30)
    away = "sink recorder: an event cannot be sent (ConnectionError: away); it is tried again."
    assert read(told) == [away, "sink recorder: events arrive again after some s: 1 late, 0 lost meanwhile."] * 2


def test_a_filter_hides_the_warnings_of_sinks():
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", category=SinkWarning)
        run_worker(Recorder(ConnectionError("away")), make_events("end"))
    assert told == []


def test_the_end_of_an_outage_counts_what_was_late_and_lost():
    sink = Recorder(ConnectionError("away"), None, ValueError("no"))
    worker = SinkWorker(sink, max_queue=3, retry_s=(1000, 1000))
    events = make_events(*["minute"] * 6)
    worker.put(events[0])
    wait_for_message(worker)
    for event in events[1:]:
        worker.put(event)
    # The end of the video cuts the pause short.
    with pytest.warns(SinkWarning) as told:
        worker.close(30)
    assert sink.events == [events[0], *events[4:]]
    assert "sink recorder: events arrive again after some s: 3 late, 3 lost meanwhile." in read(told)
    assert "3 of 6 events were lost: 2 dropped from the full queue, 1 refused" in str(told[-1].message)


def test_a_receiver_that_is_not_there_at_the_start_is_told_once_and_its_events_wait():
    class Absent(Recorder):
        def connect(self):
            raise ConnectionError("not there")

    sink, events = Absent(ConnectionError("still not there")), make_events("appeared", "left")
    with pytest.warns(SinkWarning) as told:
        run_worker(sink, events)
    assert sink.events == events
    assert read(told) == [
        "sink recorder: the receiver cannot be reached (ConnectionError: not there); start it, or correct its address "
        "or the login. Events wait for it.",
        "sink recorder: events arrive again after some s: 2 late, 0 lost meanwhile.",
    ]


def test_any_other_error_of_connect_is_reported():
    class Broken(Recorder):
        def connect(self):
            raise RuntimeError("no idea")

    sink, events = Broken(), make_events("end")
    with pytest.warns(SinkWarning, match=r"sink recorder: connect\(\) failed \(RuntimeError: no idea\)"):
        run_worker(sink, events)
    assert sink.events == events


def test_any_other_error_costs_one_event_which_is_counted():
    sink, events = Recorder(None, ValueError("no"), SystemExit(3)), make_events("appeared", "left", "minute", "end")
    with pytest.warns(SinkWarning) as told:
        run_worker(sink, events)
    assert sink.events == [events[0], events[3]]
    assert read(told) == [
        "sink recorder: an event was refused (ValueError: no); others are counted.",
        "sink recorder: 2 of 4 events were lost: 2 refused.",
    ]


def test_a_full_queue_drops_the_oldest_that_are_no_alarms_and_never_waits():
    sink = Recorder(slow=True)
    worker = SinkWorker(sink, max_queue=4)
    first, *events = make_events("minute", *["minute", "alarm"] * 4, "end")
    worker.put(first)
    assert sink.started.wait(30)
    for event in events:
        worker.put(event)
    with pytest.warns(SinkWarning, match="more events wait than the queue holds"):
        worker.report()
    sink.go_on.set()
    with pytest.warns(SinkWarning, match="5 of 10 events were lost: 5 dropped from the full queue"):
        worker.close(30)
    assert [event.event for event in sink.events] == ["minute", *["alarm"] * 4]


def test_a_queue_full_of_alarms_drops_the_oldest():
    sink = Recorder(slow=True)
    worker = SinkWorker(sink, max_queue=2)
    events = make_events(*["alarm"] * 5)
    worker.put(events[0])
    assert sink.started.wait(30)
    for event in events[1:]:
        worker.put(event)
    sink.go_on.set()
    with pytest.warns(SinkWarning) as told:
        worker.close(30)
    assert "2 dropped" in str(told[-1].message)
    assert sink.events == [events[0], *events[3:]]


def test_what_is_not_sent_in_time_is_said():
    sinks = [Recorder(slow=True), Recorder(*[TimeoutError()] * 1000)]
    workers = [SinkWorker(sink, retry_s=(0.01, 60)) for sink in sinks]
    for worker in workers:
        for event in make_events("minute", "end"):
            worker.put(event)
    with pytest.warns(SinkWarning) as told:
        close_workers(workers, 0.05)
    lost = [str(warning.message) for warning in told if "lost" in str(warning.message)]
    assert lost == ["sink recorder: 2 of 2 events were lost: 2 not confirmed in time."] * 2
    sinks[0].go_on.set()
    # Nothing is sent after the time is over, and a sink that comes back is closed.
    for worker in workers:
        worker._thread.join(30)
    assert len(sinks[0].events) == 1
    assert [sink.n_closed for sink in sinks] == [1, 1]


def test_the_end_of_the_video_cuts_a_pause_short():
    sink = Recorder(ConnectionError(), slow=True)
    worker = SinkWorker(sink, retry_s=(1000, 1000))
    (event,) = make_events("end")
    worker.put(event)
    assert sink.started.wait(30)
    sink.go_on.set()
    with pytest.warns(SinkWarning) as told:
        worker.close(30)
    assert "tried again" in str(told[0].message)
    assert sink.events == [event]


def test_an_error_of_close_is_reported():
    class Stuck(Recorder):
        def close(self):
            raise RuntimeError("stuck")

    with pytest.warns(SinkWarning, match=r"sink recorder: close\(\) failed \(RuntimeError: stuck\)"):
        run_worker(Stuck(), [])


def test_passwords_are_not_shown():
    with pytest.warns(SinkWarning) as told:
        run_worker(Recorder(ConnectionError("no answer of http://user:hidden@host/")), make_events("end"))
    assert "hidden" not in str(told[0].message)
