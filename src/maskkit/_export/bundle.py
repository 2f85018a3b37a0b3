"""A bundle: detector and classifier as ONNX files, with programs that run them without maskkit."""

import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from maskkit._export.graphs import DISTANCES, INPUT, MAPS, FromPixels, OnnxFile, write_detector
from maskkit._export.spec import metadata_of
from maskkit._labels import INCORRECT, MASKED, color_of, meaning_of
from maskkit._model.predictor import FacePredictor
from maskkit.detectors import _heatmap as heatmap, _pyramid as pyramid
from maskkit.detectors._network import CELL_PX, STEP_PX
from maskkit.detectors.maskkit import MaskkitDetector, read_weights
from maskkit.testing import make_faces

BUNDLE_VERSION = 1
"""Raised when programs of an earlier bundle cannot read the files of a later one."""

CLASSIFIER_FILE, DETECTOR_FILE = "classifier.onnx", "detector.onnx"

# The page of a bundle is that of `maskkit serve`, whose questions a worker answers in place of a server.
_PAGE = Path(__file__).parents[1] / "web" / "static"
_OF_PAGE = ("app.js", "camera.js", "draw.js", "icon.svg", "lists.js", "style.css", "threshold.js")
_COPIED = (
    Path(__file__).with_name("maskkit_bundle.py"),
    *sorted(Path(__file__).with_name("files").iterdir()),
    *(_PAGE / name for name in _OF_PAGE),
)

BUNDLE_FILES = (CLASSIFIER_FILE, DETECTOR_FILE, *(path.name for path in _COPIED))
"""Names of the files of a bundle besides its spec."""


def check_detector(predictor: FacePredictor) -> MaskkitDetector:
    """Return the detector of a predictor with checked parameters; raise ValueError if it is not maskkit's own."""
    detector = predictor.detector
    if not isinstance(detector, MaskkitDetector):
        raise ValueError(
            f"a bundle needs the detector 'maskkit', and this model has {predictor.detector_name!r}; call "
            f"set_params(detector='maskkit') first, or export the classifier alone."
        )
    return detector._check_params()


def write_bundle(
    predictor: FacePredictor, folder: Path, spec: dict[str, Any], classifier: OnnxFile, pixels: NDArray[np.uint8]
) -> dict[str, Any]:
    """Write all files of a bundle but the classifier and the spec; return how much the networks differ from PyTorch."""
    network = read_weights(check_detector(predictor)._weights_path()).eval()
    detector = write_detector(folder / DETECTOR_FILE, network, metadata_of(spec))
    picture = np.hstack([np.vstack(pair) for pair in pairwise(make_faces(4)[0])])
    with torch.inference_mode():
        expected = FromPixels(network)(torch.from_numpy(picture[None]))
    pairs = zip(detector.run(picture[None], *MAPS), expected, strict=True)
    parity = {"detector": {"largest_difference": max(float(np.abs(a - b.numpy()).max()) for a, b in pairs)}}
    if predictor.density is not None:
        parity["not_a_face"] = {"largest_difference": _compare_distances(predictor, classifier, pixels)}
    for file in _COPIED:
        shutil.copyfile(file, folder / file.name)
    return parity


def _compare_distances(predictor: FacePredictor, classifier: OnnxFile, pixels: NDArray[np.uint8]) -> float:
    """Return the largest difference of a distance from that of the features in PyTorch, as a share of it."""
    assert predictor.density is not None
    backbone = predictor.embedder.backbone
    device = next(backbone.network.parameters()).device
    with torch.inference_mode():
        features = backbone.network(backbone.preprocess.normalize(pixels[:32], device)).cpu().numpy()
    expected = predictor.density.measure_distances(features)
    (actual,) = classifier.run(pixels[:32], DISTANCES)
    return float((np.abs(actual - expected) / expected).max())


def describe_bundle(predictor: FacePredictor) -> dict[str, Any]:
    """Return what the specification of a bundle has besides that of its classifier."""
    classes = predictor.classes.tolist()
    meanings = [meaning_of(label) for label in classes]
    can_tell_covered = INCORRECT in meanings and None not in meanings
    density = predictor.density
    return {
        "bundle": BUNDLE_VERSION,
        "file": CLASSIFIER_FILE,
        "colors": [color_of(label, classes) for label in classes],
        "nose_and_mouth_covered": [meaning == MASKED for meaning in meanings] if can_tell_covered else None,
        "not_a_face": density and {
            "output": DISTANCES,
            "limit": float(density.noise_and_limit[1]),
            "meaning": "uncertain for the reason not_a_face if the second output of the classifier, the squared "
            "Mahalanobis distance of the features from those of faces, is above limit",
        },
        "order": "faces by the area of the rounded and clipped box, largest first; boxes without area are dropped",
        "detector": _describe_network() | _describe_search(check_detector(predictor)),
    }  # fmt: skip


def _describe_network() -> dict[str, Any]:
    return {
        "name": "maskkit",
        "file": DETECTOR_FILE,
        "input": {
            "name": INPUT,
            "shape": ["n", "height", "width", 3],
            "dtype": "uint8",
            "layout": "NHWC",
            "color": "RGB",
            "values": "0 to 255; nothing is normalized",
        },
        "outputs": list(MAPS),
        "outputs_meaning": "float32 (n, 1, 2, 2 or 10 channels, height / cell_px, width / cell_px): scores; logarithms "
        "of height and width in cells; offset of the center from the middle of the cell, y and x, in cells; y and x of "
        "left eye, right eye, nose, left and right corner of the mouth, relative to the top left corner of the box, in "
        "units of its height and width",
        "cell_px": CELL_PX,
    }


def _describe_search(detector: MaskkitDetector) -> dict[str, Any]:
    """Return the steps from an image to the boxes of its faces, and the numbers in them."""
    sides: Any = detector.long_sides_px
    return {
        "scales": {
            "long_sides_px": sides if isinstance(sides, str) else list(sides),
            "max_pixels": detector.max_pixels,
            "small_px": pyramid.SMALL_PX,
            "usual_px": pyramid.USUAL_PX,
            "max_enlargement": pyramid.MAX_ENLARGEMENT,
            "max_face_aspect": pyramid.MAX_FACE_ASPECT,
            "more_detail": pyramid.MORE_DETAIL,
            "meaning": "an image is searched at each of long_sides_px. If that is auto: largest_face = min(long side, "
            "max_face_aspect * short side) and limit = sqrt(max_pixels / (height * width)); the scales are "
            "min(small_px / largest_face, limit), min(usual_px / largest_face, max_enlargement, limit) and, while "
            "min(1, limit) is above more_detail times the last one, min(1, limit, usual_px / small_px times the last "
            "one). The long sides are round(scale * long side), at least 1, each once, ascending. The scaled image has "
            "sides of round(side * long side wanted / long side), at least 1; scale x and y are the new sides by the "
            "old ones, in float32. round is that of Python: halves to the even number",
        },
        "tiles": {
            "tile_px": pyramid.TILE_PX,
            "overlap_px": pyramid.OVERLAP_PX,
            "reducing_gap": pyramid.REDUCING_GAP,
            "meaning": "a side of more than tile_px is split into n = ceil((side - overlap_px) / (tile_px - "
            "overlap_px)) parts of tile_px, which begin at round(numpy.linspace(0, side - tile_px, n)). A tile is "
            "resized from its part of the image, bilinear with antialiasing (Pillow's Image.resize with BILINEAR, box "
            "in fractions of pixels, clipped to the image, and reducing_gap), in 8 bits",
        },
        "padding": {
            "step_px": STEP_PX,
            "double_step_up_to_px": heatmap.SMALL_TILE_PX,
            "square_up_to_px": heatmap.TINY_TILE_PX,
            "meaning": "black, at the right and the bottom, to multiples of step_px; to multiples of twice that if the "
            "longer side is at most double_step_up_to_px; to a square of a multiple of step_px if it is at most "
            "square_up_to_px",
        },
        "faces": {
            "threshold": detector.threshold,
            "large_face": heatmap.LARGE_FACE,
            "large_face_factor": detector._large_face_factor,
            "meaning": "a cell with a score above threshold is the center of a face; at the first scale, also one with "
            "a score above large_face_factor * threshold whose box has a longer side of more than large_face * "
            "largest_face, in pixels of the image. height, width = exp(log_sizes) * cell_px; center = (row, column "
            "of the cell + offsets + 0.5) * cell_px; divided by scale x and y, and moved by the corner of the tile, "
            "these are pixels of the image",
        },
        "merging": {
            "nms_iou": detector.nms_iou,
            "contained": pyramid.CONTAINED,
            "best_px": list(pyramid.BEST_PX),
            "meaning": "the faces of all scales, in order of decreasing score * min(1, size / best_px[0], best_px[1] / "
            "size), where size is the longer side of the box in pixels of the tile; a box is dropped if its "
            "intersection over union with a kept one is above nms_iou, or the intersection above contained times the "
            "smaller of both areas",
        },
    }
