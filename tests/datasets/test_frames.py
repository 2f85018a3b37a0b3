"""Frames of annotated boxes: turned photos, other sizes, fractions, and boxes outside."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, strategies as st
from PIL import Image, ImageOps

from maskkit import evaluate, evaluate_photos
from maskkit.augment import find_landmarks
from maskkit.datasets import AnnotatedPhoto, collage, describe, load_photos
from maskkit.detectors import Faces
from maskkit.exceptions import DataError, PluginError, SkippedImageWarning
from maskkit.testing import FixedDetector
from tests.conftest import fuzzing, make_classifier
from tests.helpers import load_image

ORIENTATION_TAG = 0x0112
BOX = (30, 20, 70, 44)


def add_turned_photo(folder, stem, orientation, *, box=BOX, size=(120, 80), stated="stored", ending="jpg"):
    """Write a photo whose stored pixels are black but for a white face, and its annotation, drawn on these pixels."""
    for name in ("images", "annotations"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((*size[::-1], 3), np.uint8)
    left, top, right, bottom = box
    pixels[top:bottom, left:right] = 255
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    picture = Image.fromarray(pixels)
    path = folder / "images" / f"{stem}.{ending}"
    picture.save(path, exif=exif, **({"quality": 100} if ending == "jpg" else {}))
    stated = {"stored": size, "upright": ImageOps.exif_transpose(Image.open(path)).size}.get(stated, stated)
    add_annotation(folder, stem, [box], stated)
    return path


def add_annotation(folder, stem, boxes, size=None, label="with_mask"):
    edges = ("xmin", "ymin", "xmax", "ymax")
    objects = "".join(
        f"<object><name>{label}</name><bndbox>"
        + "".join(f"<{edge}>{value}</{edge}>" for edge, value in zip(edges, box, strict=True))
        + "</bndbox></object>"
        for box in boxes
    )
    stated = "" if size is None else f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>"
    path = folder / "annotations" / f"{stem}.xml"
    path.write_text(f"<annotation>{stated}{objects}</annotation>", encoding="utf-8")
    return path


def is_white(photo):
    """Whether the box of a photo, as it is displayed, holds the white face and nothing else."""
    image = load_image(photo.path)[..., 0] > 127
    left, top, right, bottom = photo.boxes_xyxy[0].astype(int)
    return bool(image[top:bottom, left:right].all() and image.sum() == (right - left) * (bottom - top))


@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_drawn_on_stored_pixels_are_turned(tmp_path, orientation, ending):
    add_turned_photo(tmp_path, "a", orientation, ending=ending)
    # Photos turned by a quarter show which frame their annotations are in, and the others follow them.
    add_turned_photo(tmp_path, "b", 6, ending=ending)
    assert all(map(is_white, load_photos(tmp_path)))
    assert all(map(is_white, load_photos(tmp_path, frame="stored")))


@given(data=st.data())
@fuzzing(40)
def test_boxes_are_turned_in_any_frame(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("photos")
    width, height = data.draw(st.tuples(st.integers(8, 60), st.integers(8, 60)))
    assume(abs(width - height) > 1)
    left, top = data.draw(st.integers(0, width - 5)), data.draw(st.integers(0, height - 5))
    box = (left, top, data.draw(st.integers(left + 4, width)), data.draw(st.integers(top + 4, height)))
    orientation = data.draw(st.integers(5, 8))
    add_turned_photo(folder, "a", orientation, box=box, size=(width, height), ending="png")
    (stored,) = load_photos(folder)
    assert is_white(stored)
    # The same face, annotated as the photo is displayed.
    add_annotation(folder, "a", [stored.boxes_xyxy[0].tolist()], (height, width))
    (upright,) = load_photos(folder)
    assert (upright.boxes_xyxy == stored.boxes_xyxy).all()


def test_boxes_show_the_frame_where_size_is_missing(tmp_path):
    add_turned_photo(tmp_path, "a", 6, box=(90, 10, 118, 40), stated=None)
    assert is_white(load_photos(tmp_path)[0])


@pytest.mark.parametrize(("orientation", "stated"), [(3, "stored"), (2, None), (6, None), (6, (0, 0))])
def test_unknown_frame_raises(tmp_path, orientation, stated):
    add_turned_photo(tmp_path, "a", orientation, stated=stated)
    with pytest.raises(
        DataError, match=r"a\.xml: the box \(30.*<size> is .*a\.jpg has 120 x 80 pixels as stored.*frame="
    ):
        load_photos(tmp_path)
    with pytest.warns(SkippedImageWarning, match="1 of 1 photos"):
        assert load_photos(tmp_path, on_error="skip") == []
    assert is_white(load_photos(tmp_path, frame="stored")[0])
    assert load_photos(tmp_path, frame="upright")[0].boxes_xyxy.tolist() == [list(BOX)]


def test_unknown_frame_without_faces_is_no_matter(tmp_path):
    add_turned_photo(tmp_path, "a", 3)
    add_annotation(tmp_path, "a", [], (120, 80))
    assert load_photos(tmp_path)[0].boxes_xyxy.shape == (0, 4)


def test_frame_of_the_wrong_name_raises(tmp_path):
    add_turned_photo(tmp_path, "a", 1)
    with pytest.raises(ValueError, match="frame='turned' is unknown; use 'auto', 'stored' or 'upright'"):
        load_photos(tmp_path, frame="turned")


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("stated", [(240, 160), (60, 40), (81, 50), (100000, 1)])
def test_size_of_another_photo_raises_with_both_sizes(tmp_path, orientation, stated):
    add_turned_photo(tmp_path, "a", orientation, stated=stated)
    message = rf"a\.xml: the box \(30.0, 20.0, .*<size> is {stated[0]} x {stated[1]}, .*a\.jpg has 120 x 80 pixels"
    with pytest.raises(DataError, match=message):
        load_photos(tmp_path)


def test_swapped_size_of_an_upright_photo_raises(tmp_path):
    add_turned_photo(tmp_path, "a", 1, stated=(80, 120))
    with pytest.raises(DataError, match=r"<size> is 80 x 120, and .* has 120 x 80 pixels"):
        load_photos(tmp_path)


@pytest.mark.parametrize("stated", [(120, 80), (121, 80), ("120.0", "80.0"), ("", ""), (0, 0), None])
def test_size_that_is_equal_rounded_or_empty(tmp_path, stated):
    add_turned_photo(tmp_path, "a", 1, stated=stated)
    assert load_photos(tmp_path)[0].boxes_xyxy.tolist() == [list(BOX)]


@pytest.mark.parametrize("stated", [("wide", 80), (-120, 80), ("nan", 80), ("inf", 80), (120.5, 80)])
def test_size_that_is_no_size_raises(tmp_path, stated):
    add_turned_photo(tmp_path, "a", 1, stated=stated)
    with pytest.raises(DataError, match=r"a\.xml: its <size> is .*; want width and height in pixels"):
        load_photos(tmp_path)


def test_photo_that_cannot_be_read_raises_where_it_is_used(tmp_path):
    path = add_turned_photo(tmp_path, "a", 6)
    path.write_bytes(b"no image")
    assert load_photos(tmp_path)[0].boxes_xyxy.tolist() == [list(BOX)]


OUTSIDE = [(130, 10, 150, 30), (-50, 10, -5, 30), (10, 90, 40, 120), (115, 10, 145, 40), (-300, -300, 400, 400)]


@pytest.mark.parametrize("box", OUTSIDE)
def test_boxes_outside_the_photo_raise_wherever_they_are_used(tmp_path, box, fitted):
    path = add_turned_photo(tmp_path, "a", 1)
    photos = [AnnotatedPhoto(path, [box], ["with_mask"])]
    for use in (
        lambda: evaluate(fitted, photos, n_resamples=1),
        lambda: evaluate_photos(fitted, photos, n_resamples=1),
        lambda: collage(photos),
        lambda: describe(photos),
    ):
        with pytest.raises(DataError, match=r"a\.jpg: the box .* lies outside the 120 x 80 pixels of the photo"):
            use()
    add_annotation(tmp_path, "a", [BOX, box], (120, 80))
    with pytest.raises(DataError, match=r"a\.xml \(<size> is 120 x 80.*: the box .* lies outside the 120 x 80"):
        load_photos(tmp_path)


def test_boxes_at_the_edge_may_reach_over_it(tmp_path, fitted):
    path = add_turned_photo(tmp_path, "a", 1)
    boxes = [(-10, -4, 30, 40), (100, 60, 125, 90)]
    add_annotation(tmp_path, "a", boxes, (120, 80))
    assert len(load_photos(tmp_path)[0].labels) == 2
    assert evaluate(fitted, [AnnotatedPhoto(path, boxes, ["with_mask"] * 2)], n_resamples=1).n_faces == 2


FRACTIONS = [(0.1, 0.2, 0.5, 0.6), (0, 0, 1, 1), (-0.02, 0.3, 1.04, 1.0), (0.25, 0.25, 0.26, 0.26)]


@pytest.mark.parametrize("box", [*FRACTIONS, (50, 50, 50.5, 50.4)])
def test_boxes_in_fractions_raise(tmp_path, box):
    with pytest.raises(DataError, match=r"a\.jpg: the box \(.*smaller than a pixel, or a fraction of the photo; want"):
        AnnotatedPhoto("a.jpg", [box], ["with_mask"])
    add_turned_photo(tmp_path, "a", 1)
    add_annotation(tmp_path, "a", [box], (120, 80))
    with pytest.raises(DataError, match=r"a\.xml: the box .* fraction of the photo"):
        load_photos(tmp_path)


class Duck:
    """What evaluate takes for a photo: any object with these attributes, which checks nothing itself."""

    def __init__(self, path, boxes, labels):
        self.path, self.boxes_xyxy, self.labels = path, boxes, labels


@pytest.mark.parametrize(
    "boxes",
    [*([box] for box in [*FRACTIONS, *OUTSIDE]), [(30, 20, 10, 44)], [(30, 20, np.nan, 44)], [BOX, BOX], [BOX[:3]]],
)
def test_photos_of_other_classes_are_checked_too(tmp_path, boxes, fitted):
    photos = [Duck(add_turned_photo(tmp_path, "a", 1), np.array(boxes, float), np.array(["with_mask"]))]
    for function in (evaluate, evaluate_photos):
        with pytest.raises(DataError, match=r"a\.jpg: (the box|boxes_xyxy)"):
            function(fitted, photos, n_resamples=1)


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT, "", " "])
def test_missing_labels_of_photos_raise(missing):
    with pytest.raises(DataError, match=r"a\.jpg: labels\[1\] is .*; want the class of each face"):
        AnnotatedPhoto("a.jpg", [BOX, BOX], ["with_mask", missing])


@pytest.mark.parametrize("boxes", ["boxes", [["a", "b", "c", "d"]], [None], [[1, 2, 3]], [[[1, 2, 3, 4]]], [{}]])
def test_boxes_that_are_no_boxes_raise(boxes):
    with pytest.raises(DataError, match=r"a\.jpg: boxes_xyxy"):
        AnnotatedPhoto("a.jpg", boxes, ["with_mask"])


numbers = st.one_of(st.integers(-(2**70), 2**70), st.floats(), st.sampled_from([0, 1, 119, 120, 121, 0.5]))


@given(box=st.tuples(numbers, numbers, numbers, numbers))
@fuzzing(200)
def test_any_box_is_accepted_within_the_photo_or_raises(tmp_path_factory, box):
    folder = tmp_path_factory.getbasetemp() / "any_box"
    add_turned_photo(folder, "a", 1) if not folder.exists() else None
    add_annotation(folder, "a", [box], (120, 80))
    try:
        (photo,) = load_photos(folder)
    except DataError as exc:
        assert "a.xml" in str(exc)  # noqa: PT017
        return
    left, top, right, bottom = photo.boxes_xyxy[0].tolist()
    shown = (min(right, 120) - max(left, 0)) * (min(bottom, 80) - max(top, 0))
    assert 0 < (right - left) * (bottom - top) <= 2.001 * shown


@pytest.mark.parametrize("box", FRACTIONS)
def test_detector_that_returns_fractions_is_named(faces, box):
    model = make_classifier(detector=FixedDetector([box])).fit(*faces)
    with pytest.raises(
        PluginError, match=r"FixedDetector: the box \(.*\) seems to be a fraction of the image of 64 x 64"
    ):
        model.predict_faces(np.zeros((64, 64, 3), np.uint8))


def test_detector_of_tiny_images_may_return_one_pixel(faces):
    model = make_classifier(detector="whole").fit(*faces)
    assert model.predict_faces(np.zeros((1, 1, 3), np.uint8)).faces[0].box == (0, 0, 1, 1)


def test_landmarks_are_not_taken_from_invalid_boxes():
    class Broken:
        def detect(self, image):
            return Faces(np.full((1, 4), np.nan, np.float32), np.ones(1, np.float32), np.zeros((1, 5, 2), np.float32))

    with pytest.raises(PluginError, match=r"Broken: .* NaN"):
        find_landmarks([np.zeros((40, 40, 3), np.uint8)], Broken())
