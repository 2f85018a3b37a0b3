"""Photos are read, searched and classified in a stream."""

import itertools

import numpy as np
import pytest
from PIL import Image

from maskkit.detectors import Faces, MaskkitDetector, WholeImageDetector
from maskkit.exceptions import ImageError, PluginError
from maskkit.testing import FixedDetector, make_faces
from tests.conftest import make_classifier


class ColumnDetector:
    """Finds a face in every 64 px column of a 64 px high photo: a plain object, no base class."""

    def detect(self, image):
        n_faces = image.shape[1] // 64
        boxes = np.array([[64 * index, 0, 64 * index + 64, 64] for index in range(n_faces)], dtype=np.float32)
        return Faces(boxes.reshape(-1, 4), np.linspace(0.9, 0.5, n_faces, dtype=np.float32))


@pytest.fixture(scope="module")
def model(faces):
    return make_classifier(detector=ColumnDetector()).fit(*faces)


def make_photo(*kinds, seed=3):
    images, labels = make_faces(40, random_state=seed)
    chosen = [next(image for image, label in zip(images, labels, strict=True) if label == kind) for kind in kinds]
    return np.hstack(chosen)


def test_each_face_of_a_photo_gets_its_own_answer(model):
    photo = model.predict_faces(make_photo("with_mask", "without_mask", "with_mask"))
    by_place = sorted(photo, key=lambda face: face.box[0])
    assert [face.label for face in by_place] == ["with_mask", "without_mask", "with_mask"]
    assert photo.summary() == {"with_mask": 2, "without_mask": 1}
    assert photo.size == (192, 64)
    for face in photo:
        assert face.probability == max(face.probabilities.values())
        assert sum(face.probabilities.values()) == pytest.approx(1)


def test_faces_come_largest_first_inside_the_photo(faces):
    boxes = [[5, 5, 15, 15], [-20, -20, 50, 40], [10, 10, 40, 40]]
    model = make_classifier(detector=FixedDetector(boxes, [0.1, 0.2, 0.3])).fit(*faces)
    photo = model.predict_faces(np.zeros((64, 64, 3), np.uint8))
    assert [face.box for face in photo] == [(0, 0, 50, 40), (10, 10, 40, 40), (5, 5, 15, 15)]
    assert [round(face.detection_score, 3) for face in photo] == [0.2, 0.3, 0.1]


def test_no_face_is_an_empty_result(faces):
    model = make_classifier(detector=FixedDetector([])).fit(*faces)
    photo = model.predict_faces(np.zeros((10, 10, 3), np.uint8))
    assert len(photo) == 0
    assert photo.status == "no_face"


def test_stream_gives_one_result_a_photo_in_order(model):
    sizes = [1, 0, 3, 2, 0, 1, 4, 1, 2, 5, 1]
    photos = (make_photo(*["with_mask"] * size) if size else np.zeros((64, 32, 3), np.uint8) for size in sizes)
    results = list(model.predict_photos(photos))
    assert [len(result) for result in results] == sizes
    assert all(face.label == "with_mask" for result in results for face in result)


def test_stream_agrees_with_one_at_a_time(model):
    photos = [make_photo("with_mask", "without_mask", seed=seed) for seed in range(5)]
    for photo, result in zip(photos, model.predict_photos(photos), strict=True):
        alone = model.predict_faces(photo)
        assert [face.box for face in alone] == [face.box for face in result]
        for one, other in zip(alone, result, strict=True):
            assert one.probability == pytest.approx(other.probability, abs=0.02)


def test_endless_stream_is_read_a_few_photos_ahead(model):
    taken = []
    photo = make_photo("with_mask")
    endless = (taken.append(number) or photo for number in itertools.count())
    results = model.predict_photos(endless)
    for _ in range(20):
        next(results)
    assert len(taken) <= 20 + 3 * 8
    results.close()


def test_unreadable_photo_is_a_result_in_a_stream_and_an_error_alone(model, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    results = list(model.predict_photos([make_photo("with_mask"), tmp_path / "broken.jpg", make_photo("with_mask")]))
    assert [result.status for result in results] == ["ok", "unreadable", "ok"]
    assert "broken.jpg: cannot be read as an image" in results[1].error
    assert results[1].to_dict()["size"] is None
    with pytest.raises(ImageError, match=r"broken\.jpg"):
        model.predict_faces(tmp_path / "broken.jpg")
    with pytest.raises(ImageError, match=r"broken\.jpg"):
        list(model.predict_photos([tmp_path / "broken.jpg"], on_error="raise"))
    with pytest.raises(ValueError, match="on_error='ignore' is unknown; use 'report', 'skip' or 'raise'"):
        model.predict_photos([], on_error="ignore")


def test_one_path_for_many_is_refused(model):
    with pytest.raises(TypeError, match="X is one image"):
        model.predict_photos("street.jpg")


def test_turned_photo_gives_boxes_of_the_upright_one(model, tmp_path):
    upright = make_photo("with_mask", "without_mask")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(upright)).save(tmp_path / "turned.png", exif=exif)
    photo = model.predict_faces(tmp_path / "turned.png")
    assert photo.size == (128, 64)
    assert {face.box: face.label for face in photo} == {(0, 0, 64, 64): "with_mask", (64, 0, 128, 64): "without_mask"}
    assert photo.draw().size == (128, 64)


def test_result_names_model_detector_and_times(model):
    result = model.predict_faces(make_photo("with_mask"))
    assert result.model == "TinyBackbone + TransferHead"
    assert result.detector == "ColumnDetector"
    assert set(result.speed_ms) == {"read", "detect", "classify"}
    assert all(value > 0 for value in result.speed_ms.values())


class BatchDetector(ColumnDetector):
    """Takes several photos, as many as there are, but at least one."""

    def __init__(self):
        self.batches = []

    def detect_batch(self, images):
        self.batches.append(len(images))
        np.stack([image[0, 0] for image in images])  # raises ValueError if there is none
        return (self.detect(image) for image in images)


def test_photos_are_searched_together_where_the_detector_can(model, faces):
    detector = BatchDetector()
    batching = make_classifier(detector=detector).fit(*faces)
    photos = [make_photo(*["with_mask"] * (1 + index % 3)) for index in range(11)]
    results = list(batching.predict_photos(photos))
    assert sum(detector.batches) == 11
    assert max(detector.batches) > 1
    # A detector without detect_batch gets one after the other.
    for result, alone in zip(results, model.predict_photos(photos), strict=True):
        assert [face.box for face in result] == [face.box for face in alone]
        assert [face.label for face in result] == [face.label for face in alone]
    assert len(batching.predict_faces(photos[2])) == 3
    assert all(result.speed_ms["detect"] > 0 for result in results)


def test_a_detector_of_batches_is_not_asked_about_unreadable_photos(faces, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    model = make_classifier(detector=BatchDetector()).fit(*faces)
    photos = [make_photo("with_mask"), tmp_path / "broken.jpg", make_photo("with_mask")]
    assert [result.status for result in model.predict_photos(photos)] == ["ok", "unreadable", "ok"]


def test_a_detector_of_batches_is_not_called_without_a_readable_photo(faces, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    model = make_classifier(detector=BatchDetector()).fit(*faces)
    (result,) = model.predict_photos([tmp_path / "broken.jpg"])
    assert "broken.jpg: cannot be read as an image" in result.error
    with pytest.raises(ImageError, match=r"broken\.jpg: cannot be read as an image"):
        model.predict_faces(tmp_path / "broken.jpg")


def test_device_reaches_a_detector_that_leaves_the_choice_to_others(faces):
    by_name = make_classifier(detector="maskkit", device="cpu").fit(*faces)
    assert by_name.predictor_.detector.device == "cpu"
    assert by_name.set_params(device="auto").predictor_.detector.device == "auto"
    instance = MaskkitDetector(device="auto", threshold=0.9)
    given = make_classifier(detector=instance, device="cpu").fit(*faces)
    assert (given.predictor_.detector.device, given.predictor_.detector.threshold) == ("cpu", 0.9)
    assert instance.device == "auto"
    chosen = MaskkitDetector(device="cuda")
    assert make_classifier(detector=chosen, device="cpu").fit(*faces).predictor_.detector is chosen
    # One without this parameter is left alone, too.
    whole = make_classifier(detector="whole", device="cpu").fit(*faces)
    assert isinstance(whole.predictor_.detector, WholeImageDetector)


def test_scales_are_limited_in_a_copy_and_only_where_the_detector_chooses_them(faces):
    instance = MaskkitDetector(threshold=0.9)
    predictor = make_classifier(detector=instance).fit(*faces).predictor_
    limited = predictor.limit_scales(100_000)
    assert (limited.detector.max_pixels, limited.detector.threshold) == (100_000, 0.9)
    assert predictor.detector is instance
    assert instance.max_pixels > 100_000
    small = make_classifier(detector=MaskkitDetector(max_pixels=50_000)).fit(*faces).predictor_
    assert small.limit_scales(100_000).detector.max_pixels == 50_000
    plain = make_classifier(detector=ColumnDetector()).fit(*faces).predictor_
    assert plain.limit_scales(100_000).detector is plain.detector


class Nonsense:
    def __init__(self, answer):
        self.answer = answer

    def detect(self, image):
        return self.answer


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, r"detect\(\) returned NoneType"),
        (Faces(np.zeros((2, 3), np.float32), np.zeros(2)), r"boxes_xyxy has shape \(2, 3\)"),
        (Faces(np.zeros((2, 4), np.float32), np.zeros(3)), r"scores \(3,\); want \(n, 4\) and \(n,\)"),
        (Faces(np.array([[0, 0, np.nan, 1]], np.float32), np.ones(1)), "NaN or infinity"),
        (Faces(np.array([[5, 0, 2, 1]], np.float32), np.ones(1)), "right <= left"),
        (Faces(np.array([[0, 0, 2, 1]], np.float32), np.ones(1), np.zeros((1, 5))), "landmarks has shape"),
    ],
)
def test_nonsense_of_a_detector_is_named(faces, answer, message):
    model = make_classifier(detector=Nonsense(answer)).fit(*faces)
    with pytest.raises(PluginError, match=f"detector Nonsense: .*{message}"):
        model.predict_faces(np.zeros((64, 64, 3), np.uint8))
