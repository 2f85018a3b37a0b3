"""Photos of several requests share batches, and a full queue refuses more."""

import threading
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from maskkit.web._batcher import BATCH_PHOTOS, Batcher
from maskkit.web._errors import ApiError
from maskkit.web._inspect import Upload


@pytest.fixture
def batches():
    """Number of photos in each batch."""
    return []


@pytest.fixture
def classified(gated, monkeypatch):
    """Numbers of faces that are classified together."""
    predictor_class, numbers = type(gated.predictor_), []
    iterate_batches = predictor_class.iterate_batches

    def record(self, crops, **options):
        numbers.append(len(crops))
        return iterate_batches(self, crops, **options)

    monkeypatch.setattr(predictor_class, "iterate_batches", record)
    return numbers


@pytest.fixture
def batcher(gated, batches, monkeypatch):
    """Predicts one batch at a time, so that it is known which photos share one."""
    monkeypatch.setattr("maskkit.web._batcher.N_BATCHES", 1)
    batcher = Batcher(gated.predictor_, max_waiting=12, max_wait_s=10, max_px=10_000, on_batch=batches.append)
    batcher.start()
    yield batcher
    gated.detector_.gate.set()
    batcher.close()


def uploads(photo, *names):
    return [(Upload(name, photo), 1_000) for name in names]


def names_of(futures):
    return [future.result(60).name for future in futures]


def hold(batcher, detector, photo):
    """Let the batcher start with one photo and wait at the gate."""
    detector.close()
    (first,) = batcher.submit(uploads(photo, "first"))
    assert detector.reached.acquire(timeout=60)
    return first


def test_requests_share_a_batch(batcher, detector, batches, photo):
    first = hold(batcher, detector, photo)
    one, two, three = (batcher.submit(uploads(photo, *names)) for names in ("ab", "c", "def"))
    assert batcher.n_waiting == 6
    detector.gate.set()
    assert names_of([first, *one, *two, *three]) == ["first", *"abcdef"]
    assert batches == [1, 4, 2]


def test_batch_size_is_limited(batcher, detector, batches, photo):
    first = hold(batcher, detector, photo)
    futures = batcher.submit(uploads(photo, *"abcdefghij"))
    detector.gate.set()
    assert names_of([first, *futures]) == ["first", *"abcdefghij"]
    assert batches == [1, BATCH_PHOTOS, BATCH_PHOTOS, 10 - 2 * BATCH_PHOTOS]


def test_pixels_of_a_batch_are_limited(batcher, detector, batches, photo):
    first = hold(batcher, detector, photo)
    n_px = (9_000, 2_000, 4_000, 4_000, 1, 20_000, 1)
    futures = batcher.submit([(Upload(name, photo), n) for name, n in zip("abcdefg", n_px, strict=True)])
    detector.gate.set()
    assert names_of([first, *futures]) == ["first", *"abcdefg"]
    assert batches == [1, 1, 3, 1, 1, 1]


def test_request_is_queued_whole_or_not_at_all(batcher, detector, photo):
    first = hold(batcher, detector, photo)
    batcher.submit(uploads(photo, *"abcdefghij"))
    with pytest.raises(ApiError) as full:
        batcher.submit(uploads(photo, *"xyz"))
    assert (full.value.status, full.value.code) == (503, "queue_full")
    assert 1 <= int(full.value.headers["Retry-After"]) <= 60
    assert batcher.n_waiting == 10
    batcher.check_capacity()
    batcher.submit(uploads(photo, *"xy"))
    with pytest.raises(ApiError):
        batcher.check_capacity()
    detector.gate.set()
    assert first.result(60).status == "ok"


def test_long_expected_wait_is_refused(batcher, detector, photo):
    first = hold(batcher, detector, photo)
    batcher.seconds_per_photo = 4
    batcher.submit(uploads(photo, *"abc"))
    with pytest.raises(ApiError) as full:
        batcher.submit(uploads(photo, "d"))
    assert full.value.headers["Retry-After"] == "12"
    detector.gate.set()
    assert first.result(60).status == "ok"


def test_canceled_photo_is_skipped(batcher, detector, batches, photo):
    first = hold(batcher, detector, photo)
    canceled, wanted = batcher.submit(uploads(photo, "canceled", "wanted"))
    assert canceled.cancel()
    detector.gate.set()
    assert names_of([first, wanted]) == ["first", "wanted"]
    assert detector.n_photos == 2
    assert batches == [1, 1]


def test_photo_is_canceled_at_any_time(batcher, detector, classified, photo):
    """The photo that is being searched is finished; those after it are neither searched nor classified."""
    detector.close()
    futures = batcher.submit(uploads(photo, *"abcd"))
    assert detector.reached.acquire(timeout=60)
    assert all(future.cancel() for future in futures[:3])
    detector.gate.set()
    assert futures[3].result(60).name == "d"
    assert detector.n_photos == 2
    assert classified == [1]


class TestTwoBatches:
    """While the photos of one batch are searched, the faces of another are classified."""

    @pytest.fixture
    def batcher(self, gated, batches):
        batcher = Batcher(gated.predictor_, max_waiting=12, max_wait_s=10, max_px=10_000, on_batch=batches.append)
        batcher.start()
        yield batcher
        gated.detector_.gate.set()
        batcher.close()

    @pytest.fixture
    def classifying(self, gated, monkeypatch):
        """A classification waits after its start until `go_on` is called."""
        predictor_class, started, goes_on = type(gated.predictor_), threading.Event(), threading.Event()
        iterate_batches = predictor_class.iterate_batches

        def wait(self, crops, **options):
            started.set()
            assert goes_on.wait(60)
            return iterate_batches(self, crops, **options)

        monkeypatch.setattr(predictor_class, "iterate_batches", wait)
        yield SimpleNamespace(wait=lambda: started.wait(60), go_on=goes_on.set)
        goes_on.set()

    def test_a_batch_is_searched_while_another_is_classified(self, batcher, detector, classifying, photo):
        (first,) = batcher.submit(uploads(photo, "first"))
        assert classifying.wait()
        detector.close()
        (second,) = batcher.submit(uploads(photo, "second"))
        assert detector.reached.acquire(timeout=60)
        classifying.go_on()
        assert first.result(60).name == "first"
        assert not second.done()
        detector.gate.set()
        assert second.result(60).name == "second"

    def test_photo_is_canceled_while_another_batch_is_classified(
        self, batcher, detector, classified, classifying, photo
    ):
        (first,) = batcher.submit(uploads(photo, "first"))
        assert classifying.wait()
        detector.close()
        (second,) = batcher.submit(uploads(photo, "second"))
        assert detector.reached.acquire(timeout=60)
        detector.gate.set()
        assert second.cancel()
        classifying.go_on()
        assert names_of([first, *batcher.submit(uploads(photo, "third"))]) == ["first", "third"]
        assert classified == [1, 1]

    def test_each_stage_runs_in_one_thread_at_a_time(self, gated, batcher, photo, monkeypatch):
        running, most = Counter(), Counter()

        def count(stage, function):
            def run(*args, **options):
                running[stage] += 1
                most[stage] = max(most[stage], running[stage])
                threading.Event().wait(0.02)
                result = list(function(*args, **options))
                running[stage] -= 1
                return result

            return run

        predictor_class = type(gated.predictor_)
        for name in ("_detect_together", "iterate_batches"):
            monkeypatch.setattr(predictor_class, name, count(name, getattr(predictor_class, name)))
        futures = [future for _ in range(3) for future in batcher.submit(uploads(photo, *"abcd"))]
        assert names_of(futures) == list("abcd") * 3
        assert most == {"_detect_together": 1, "iterate_batches": 1}

    def test_a_batch_leaves_room_for_the_other(self, batcher, detector, batches, photo):
        """Four photos of a quarter of the pixels are two batches; one that is larger waits until there is room."""
        detector.close()
        futures = batcher.submit([(Upload(name, photo), n_px) for name, n_px in zip("abcd", [2_500] * 4, strict=True)])
        assert detector.reached.acquire(timeout=60)
        futures += batcher.submit([(Upload("e", photo), 9_000)])
        detector.gate.set()
        assert names_of(futures) == list("abcde")
        assert batches == [2, 2, 1]

    def test_a_failure_leaves_room_for_the_next_photo(self, batcher, photo, monkeypatch):
        def fail(self, crops, **options):
            raise MemoryError

        with monkeypatch.context() as broken:
            broken.setattr(type(batcher.predictor), "iterate_batches", fail)
            failed = batcher.submit([(Upload(name, photo), 6_000) for name in "ab"])
            assert [type(future.exception(60)) for future in failed] == [MemoryError] * 2
        assert names_of(batcher.submit([(Upload("c", photo), 10_000)])) == ["c"]


def test_failure_ends_only_its_batch(batcher, detector, photo, monkeypatch):
    def fail(self, crops, **options):
        raise MemoryError

    with monkeypatch.context() as broken:
        broken.setattr(type(batcher.predictor), "iterate_batches", fail)
        futures = batcher.submit(uploads(photo, "a"))
        assert isinstance(futures[0].exception(60), MemoryError)
    assert names_of(batcher.submit(uploads(photo, "b"))) == ["b"]


def test_closing_predicts_waiting_photos(gated, detector, photo):
    batcher = Batcher(gated.predictor_, max_waiting=12, max_wait_s=10, max_px=10_000)
    batcher.start()
    first = hold(batcher, detector, photo)
    others = batcher.submit(uploads(photo, *"abcdefghij"))
    detector.gate.set()
    batcher.close()
    assert all(future.done() for future in (first, *others))
    with pytest.raises(ApiError):
        batcher.submit(uploads(photo, "late"))


def test_results_are_those_of_predict_photos(batcher, fitted, faces, photo):
    named = batcher.submit([(Upload("a", photo), 1_000), (Upload("b", b"broken"), 0)])
    a, b = (future.result(60) for future in named)
    (wanted,) = fitted.predict_photos([photo])
    assert [face.to_dict() for face in a] == [face.to_dict() for face in wanted]
    assert (b.status, b.error) == ("unreadable", "b: cannot be read as an image (no format that Pillow knows).")
    np.testing.assert_array_equal(a.size, wanted.size)
