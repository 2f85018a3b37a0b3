"""Photos of several requests are judged together; what is too much is sent away."""

import numpy as np
import pytest

from maskkit._model.predictor import FacePredictor
from maskkit.web._batcher import BATCH_PHOTOS, Batcher, QueueFullError, Upload


@pytest.fixture
def batches():
    """Sizes of the lists of crops that were classified at once."""
    return []


@pytest.fixture
def batcher(gated, batches, monkeypatch):
    predict_proba = FacePredictor.predict_proba

    def noting(self, crops, **options):
        batches.append(len(crops))
        return predict_proba(self, crops, **options)

    monkeypatch.setattr(FacePredictor, "predict_proba", noting)
    reader = gated.predictor_
    batcher = Batcher(reader, max_waiting=12, max_wait_s=10, max_px=10_000)
    batcher.start()
    yield batcher
    gated.detector_.gate.set()
    batcher.close()


def uploads(photo, *names):
    return [Upload(name, photo) for name in names]


def names_of(futures):
    return [future.result(60).name for future in futures]


def hold(batcher, detector, photo):
    """Let the batcher begin with one photo and wait at the gate."""
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
    assert batches == [1, 6]


def test_a_batch_is_bounded(batcher, detector, batches, photo):
    first = hold(batcher, detector, photo)
    futures = batcher.submit(uploads(photo, *"abcdefghij"))
    detector.gate.set()
    assert names_of([first, *futures]) == ["first", *"abcdefghij"]
    assert batches == [1, BATCH_PHOTOS, 10 - BATCH_PHOTOS]


def test_a_request_is_queued_whole_or_not_at_all(batcher, detector, photo):
    first = hold(batcher, detector, photo)
    batcher.submit(uploads(photo, *"abcdefghij"))
    with pytest.raises(QueueFullError) as full:
        batcher.submit(uploads(photo, *"xyz"))
    assert 1 <= full.value.seconds <= 60
    assert batcher.n_waiting == 10
    batcher.check_room()
    batcher.submit(uploads(photo, *"xy"))
    with pytest.raises(QueueFullError):
        batcher.check_room()
    detector.gate.set()
    assert first.result(60).status == "ok"


def test_what_would_wait_too_long_is_not_let_in(batcher, detector, photo):
    first = hold(batcher, detector, photo)
    batcher._seconds_a_photo = 4  # as after photos that took so long
    batcher.submit(uploads(photo, *"abc"))
    with pytest.raises(QueueFullError) as full:
        batcher.submit(uploads(photo, "d"))
    assert full.value.seconds == 12
    detector.gate.set()
    assert first.result(60).status == "ok"


def test_what_nobody_waits_for_any_more_is_not_judged(batcher, detector, batches, photo):
    first = hold(batcher, detector, photo)
    given_up, wanted = batcher.submit(uploads(photo, "given up", "wanted"))
    assert given_up.cancel()
    detector.gate.set()
    assert names_of([first, wanted]) == ["first", "wanted"]
    assert detector.n_photos == 2
    assert batches == [1, 1]


def test_one_failure_ends_its_batch_alone(batcher, detector, photo, monkeypatch):
    def fail(self, crops, **options):
        raise MemoryError

    with monkeypatch.context() as broken:
        broken.setattr(FacePredictor, "predict_proba", fail)
        futures = batcher.submit(uploads(photo, "a"))
        assert isinstance(futures[0].exception(60), MemoryError)
    assert names_of(batcher.submit(uploads(photo, "b"))) == ["b"]


def test_closing_judges_what_waits(gated, detector, photo):
    batcher = Batcher(gated.predictor_, max_waiting=12, max_wait_s=10, max_px=10_000)
    batcher.start()
    first = hold(batcher, detector, photo)
    others = batcher.submit(uploads(photo, *"abcdefghij"))
    detector.gate.set()
    batcher.close()
    assert all(future.done() for future in (first, *others))
    with pytest.raises(QueueFullError):
        batcher.submit(uploads(photo, "late"))


def test_results_are_those_of_predict_photos(batcher, fitted, faces, photo):
    named = batcher.submit([Upload("a", photo), Upload("b", b"broken")])
    a, b = (future.result(60) for future in named)
    (wanted,) = fitted.predict_photos([photo])
    assert [face.to_dict() for face in a] == [face.to_dict() for face in wanted]
    assert (b.status, b.error) == ("unreadable", "b: cannot be read as an image (no format that Pillow knows).")
    np.testing.assert_array_equal(a.size, wanted.size)
