"""Bundles: their runtime agrees with maskkit and needs nothing of it."""

import io
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from maskkit import export
from maskkit.detectors import MaskkitDetector
from maskkit.exceptions import ModelFileError
from maskkit.testing import FixedDetector, make_faces
from tests.conftest import make_classifier
from tests.export.conftest import Float32Detector, load_runtime
from tests.helpers import load_image

# Runs a script where these libraries cannot be imported.
HIDDEN = """
import runpy, sys
for library in ("maskkit", "torch", "torchvision", "sklearn", "scipy", "openvino", "skimage", "timm"):
    sys.modules[library] = None
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def bundle(bundle_dir):
    return load_runtime(bundle_dir).Bundle(bundle_dir)


def compare(bundle, model, photo):
    """Compare the faces of a photo; return their number."""
    faces, expected = bundle.predict_faces(photo), [face.to_dict() for face in model.predict_faces(photo)]
    assert [list(face) for face in faces] == [list(face) for face in expected]
    for name in ("box", "label", "decision", "reasons", "nose_and_mouth_covered", "size_px"):
        assert [face[name] for face in faces] == [face[name] for face in expected]
    for face, other in zip(faces, expected, strict=True):
        np.testing.assert_allclose(face["landmarks"], other["landmarks"], atol=0.11)
        assert face["detection_score"] == pytest.approx(other["detection_score"], abs=1e-4)
        assert face["probability"] == pytest.approx(other["probability"], abs=1e-4)
        assert face["probabilities"] == pytest.approx(other["probabilities"], abs=1e-4)
    return len(faces)


def test_faces_of_all_sizes_are_those_of_maskkit(bundle, exact, crowd):
    photo = Image.fromarray(crowd)
    assert compare(bundle, exact, crowd) >= 8
    assert compare(bundle, exact, np.asarray(photo.resize((285, 120)))) >= 4
    # Two rows and two columns of tiles.
    assert compare(bundle, exact, np.asarray(photo.crop((820, 0, 1640, 800)).resize((1353, 1320)))) >= 6


def test_small_pictures_and_pictures_without_faces_are_those_of_maskkit(bundle, exact, crowd, faint):
    assert compare(bundle, exact, faint) == 1
    for height, width in ((1, 1), (20, 33), (110, 75), (200, 240)):
        compare(bundle, exact, np.ascontiguousarray(crowd[:height, 800 : 800 + width]))
    assert compare(bundle, exact, np.zeros((300, 400, 3), np.uint8)) == 0


def test_reasons_are_those_of_maskkit(bundle_dir, exact, crowd, tmp_path):
    shutil.copytree(bundle_dir, tmp_path, dirs_exist_ok=True)
    spec = json.loads((tmp_path / "spec.json").read_text())
    density = exact.predictor_.density
    assert spec["not_a_face"]["limit"] == density.noise_and_limit[1]
    spec["not_a_face"]["limit"] = limit = 3000.0
    spec |= {"uncertain_below": 0.999, "min_size_px": 30}
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    other = load_runtime(tmp_path).Bundle(tmp_path)
    reasons = {reason for face in other.predict_faces(crowd) for reason in face["reasons"]}
    assert reasons == {"too_small", "low_probability", "not_a_face"}
    threshold, min_size_px, usual = exact.threshold, exact.min_size_px, density.noise_and_limit[1]
    try:
        density.noise_and_limit[1] = limit
        compare(other, exact.set_params(threshold=0.999, min_size_px=30), crowd)
    finally:
        density.noise_and_limit[1] = usual
        exact.set_params(threshold=threshold, min_size_px=min_size_px)


def test_real_photos_are_those_of_maskkit(bundle, exact, data_dir):
    photos = sorted((data_dir / "face-mask-photos" / "images").iterdir())[::80]
    assert sum(compare(bundle, exact, photo) for photo in photos) > 10


def test_other_detector_settings_and_classes_are_kept(crowd, tmp_path):
    faces, _ = make_faces(20)
    params = {"long_sides_px": (256, 1400), "threshold": 0.55, "nms_iou": 0.1}
    model = make_classifier(detector=MaskkitDetector(**params), engine="torch", precision="float32")
    folder = export(model.fit(faces, [1, 2] * 10), tmp_path / "bundle", bundle=True)
    spec = json.loads((folder / "spec.json").read_text())["detector"]
    kept = {name: value for part in ("scales", "faces", "merging") for name, value in spec[part].items()}
    assert {**params, "long_sides_px": [256, 1400]}.items() <= kept.items()
    model.detector_ = Float32Detector(**params)
    assert compare(load_runtime(folder).Bundle(folder), model, crowd) > 4


def test_runtime_prints_json_lines_without_maskkit_and_torch(bundle, bundle_dir, crowd, tmp_path):
    photo, broken = tmp_path / "crowd.png", tmp_path / "broken.jpg"
    Image.fromarray(crowd).save(photo)
    broken.write_bytes(b"\xff\xd8\xff no picture")
    done = subprocess.run(
        [sys.executable, "-c", HIDDEN, bundle_dir / "maskkit_bundle.py", bundle_dir, photo, broken],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (1, "")
    found, unreadable = map(json.loads, done.stdout.splitlines())
    faces = bundle.predict_faces(photo)
    assert (found["source"], found["status"], found["size"]) == (str(photo), "ok", [1900, 800])
    assert found["faces"] == [{"face": number, **face} for number, face in enumerate(faces, 1)]
    assert sum(found["summary"].values()) == len(faces)
    assert unreadable["status"] == "unreadable"
    assert "cannot identify" in unreadable["error"]


def test_photos_are_read_as_by_maskkit(bundle_dir):
    runtime = load_runtime(bundle_dir)
    colors = np.random.default_rng(0).integers(0, 256, (8, 5, 4)).astype(np.uint8)
    exif = Image.Exif()
    for orientation in range(1, 9):
        exif[0x0112] = orientation
        file = io.BytesIO()
        Image.fromarray(colors[..., :3]).save(file, "PNG", exif=exif)
        np.testing.assert_array_equal(runtime.load_photo(file.getvalue()), load_image(file.getvalue()))
    for picture in (Image.fromarray(colors), Image.fromarray(colors[..., 0]), Image.fromarray(colors).quantize(9)):
        np.testing.assert_array_equal(runtime.load_photo(picture), load_image(picture))
    with pytest.raises(ValueError, match=r"more than 8 bits per channel \(mode I;16\); convert it"):
        runtime.load_photo(Image.new("I;16", (4, 4)))
    with pytest.raises(ValueError, match=r"want \(H, W, 3\) and uint8"):
        runtime.load_photo(np.zeros((4, 4)))


def test_other_folders_and_versions_raise(bundle_dir, tmp_path):
    runtime = load_runtime(bundle_dir)
    with pytest.raises(ValueError, match=r"has no spec\.json; pass a folder that 'maskkit export --bundle' wrote"):
        runtime.Bundle(tmp_path)
    (tmp_path / "spec.json").write_text('{"bundle": 99}')
    with pytest.raises(ValueError, match="is of bundle version 99; this file reads version 1"):
        runtime.Bundle(tmp_path)


def test_what_cannot_be_bundled_raises(fitted, exact, bundle_dir, tmp_path):
    with pytest.raises(ValueError, match=r"needs the detector 'maskkit', and this model has .*set_params\(detector="):
        export(fitted, tmp_path / "new", bundle=True)
    with pytest.raises(ValueError, match="use output_format='onnx', not 'openvino'"):
        export(exact, tmp_path / "new", bundle=True, output_format="openvino")
    assert isinstance(fitted.detector, FixedDetector)
    assert not (tmp_path / "new").exists()
    shutil.copytree(bundle_dir, tmp_path / "old")
    (tmp_path / "old" / "ort").mkdir()
    with pytest.raises(ModelFileError, match="holds ort besides its export, which would be lost"):
        export(exact, tmp_path / "old", bundle=True)


def test_files_have_their_checksums_and_nothing_of_the_builder(bundle_dir):
    spec = json.loads((bundle_dir / "spec.json").read_text())
    assert {*spec["files"], "spec.json"} == {path.name for path in bundle_dir.iterdir()}
    assert spec["parity"]["detector"]["largest_difference"] < 1e-4
    assert spec["parity"]["not_a_face"]["largest_difference"] < 1e-4
    for file in bundle_dir.glob("*.onnx"):
        for trace in ("site-packages", "stack_trace", '.py", line', "FromPixels", "WithDistances"):
            assert trace.encode() not in file.read_bytes(), (file.name, trace)
