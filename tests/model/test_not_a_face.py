"""A calibrated model is uncertain about images that are unlike the faces of its calibration."""

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from maskkit import MaskClassifier
from maskkit.exceptions import ModelFileError
from maskkit.testing import make_faces
from tests.conftest import make_classifier
from tests.helpers import DecisionRule

# Saturated colors and a chessboard, which no drawn face resembles.
OTHERS = [np.full((64, 64, 3), color, np.uint8) for color in ((0, 255, 0), (255, 0, 255))]
CHESSBOARD = np.kron(np.indices((8, 8)).sum(axis=0) % 2, np.full((8, 8), 255))
OTHERS.append(CHESSBOARD[..., None].repeat(3, axis=2).astype(np.uint8))


@pytest.fixture(scope="module")
def calibrated():
    model = make_classifier(backbone="timm:test_resnet", image_size=48, detector="whole", device="cpu")
    return model.fit(*make_faces(40, random_state=1)).calibrate(*make_faces(200, random_state=2))


def reasons_of(model, images):
    return [face.reasons for photo in model.predict_photos(images) for face in photo]


def test_what_is_no_face_is_uncertain_and_faces_are_not(calibrated):
    assert reasons_of(calibrated, OTHERS) == [("not_a_face",)] * 3
    photo = calibrated.predict_faces(OTHERS[0])
    assert (photo[0].decision, photo.summary()) == ("uncertain", {"uncertain": 1})
    # One face in a hundred is expected to exceed the limit; with a probability of .999, at most seven of 200 do.
    assert sum(map(bool, reasons_of(calibrated, make_faces(200, random_state=3)[0]))) <= 7


def test_the_reason_stands_beside_the_others():
    assert DecisionRule(0.9, 12).reasons(0.5, 3, is_face=False) == ("too_small", "low_probability", "not_a_face")


@pytest.mark.parametrize("half", [False, True])
def test_it_is_saved_and_loaded(calibrated, tmp_path, half):
    calibrated.save(tmp_path / "model", half=half)
    assert reasons_of(MaskClassifier.load(tmp_path / "model"), OTHERS) == [("not_a_face",)] * 3


def test_a_damaged_density_is_named(calibrated, tmp_path):
    file = calibrated.save(tmp_path / "model") / "model.safetensors"
    tensors = load_file(file)
    tensors["density.mean"] = tensors["density.mean"][:5]
    save_file(tensors, file)
    with pytest.raises(ModelFileError, match=r"density\.mean"):
        MaskClassifier.load(tmp_path / "model")


def test_a_new_fit_and_a_calibration_on_few_faces_know_nothing_of_it(faces, calibrated):
    model = make_classifier(detector="whole").fit(*faces)
    assert not any(reasons_of(model, OTHERS))
    model.calibrate(*make_faces(200))
    assert any(reasons_of(model, OTHERS))
    model.calibrate(*make_faces(199))
    assert not any(reasons_of(model, OTHERS))
    assert not any(reasons_of(model.calibrate(*make_faces(200)).fit(*faces), OTHERS))
