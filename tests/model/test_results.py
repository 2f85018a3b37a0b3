"""Results are small values that can be read, drawn and saved."""

import base64
import csv
import io
import json
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from sklearn.linear_model import LogisticRegression

import maskkit
from maskkit import FaceResult, MaskClassifier, PhotoResult
from maskkit.exceptions import ImageError
from tests.cli.conftest import run
from tests.conftest import make_classifier

FACES = (
    FaceResult((10, 20, 70, 90), 0.9, "with_mask", 0.8, {"with_mask": 0.8, "without_mask": 0.2}),
    FaceResult((100, 10, 130, 40), 0.7, "without_mask", 0.6, {"with_mask": 0.4, "without_mask": 0.6}, ((1.0, 2.0),)),
)
COLUMNS = ["source", "status", "face", "decision", "label", "probability", "detection_score"]
COLUMNS += ["left", "top", "right", "bottom", "size_px", "reasons", "error", "notes", "model", "model_sha256"]
CLASS_COLUMNS = ["probability_with_mask", "probability_without_mask"]
PIXELS = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)


def make_photo(faces=FACES, source=PIXELS, **changes):
    values = {"name": "street.jpg", "size": (160, 120), "model": "m", "detector": "d", **changes}
    return PhotoResult(faces, source, **values)


def test_photo_is_a_sequence_of_faces():
    photo = make_photo()
    assert len(photo) == 2
    assert photo[0] is FACES[0]
    assert photo[-1:] == (FACES[1],)
    assert list(photo) == list(FACES)
    assert photo.summary() == {"with_mask": 1, "without_mask": 1}
    assert repr(photo) == "<PhotoResult street.jpg: 1 with_mask, 1 without_mask>"


def test_status_says_whether_there_is_something_to_see():
    assert make_photo().status == "ok"
    assert make_photo(()).status == "no_face"
    assert make_photo((), error="broken").status == "unreadable"
    assert repr(make_photo(())) == "<PhotoResult street.jpg: no face>"


def test_size_is_the_longer_side():
    assert [face.size_px for face in FACES] == [70, 30]


@pytest.mark.parametrize(
    ("label", "reasons", "covered"),
    [
        ("with_mask", (), True),
        ("without_mask", (), False),
        ("mask_weared_incorrect", (), False),
        ("with_mask", ("low_probability",), None),
    ],
)
def test_three_classes_tell_whether_nose_and_mouth_are_covered(label, reasons, covered):
    probabilities = {"with_mask": 0.4, "without_mask": 0.3, "mask_weared_incorrect": 0.3}
    face = FaceResult((0, 0, 9, 9), 1.0, label, 0.4, probabilities, reasons=reasons)
    assert face.nose_and_mouth_covered is covered
    assert face.to_dict()["nose_and_mouth_covered"] is covered


def test_two_classes_and_unknown_labels_do_not_tell_whether_nose_and_mouth_are_covered():
    assert FACES[0].nose_and_mouth_covered is None
    assert (
        FaceResult((0, 0, 9, 9), 1.0, "incorrect", 1.0, {"incorrect": 1.0, "n95": 0.0}).nose_and_mouth_covered is None
    )


def test_json_holds_everything_but_the_picture():
    document = json.loads(make_photo(speed_ms={"read": 1.0}).to_json())
    assert document["source"] == "street.jpg"
    assert document["size"] == [160, 120]
    assert document["faces"][0]["box"] == [10, 20, 70, 90]
    assert document["faces"][0]["probabilities"] == {"with_mask": 0.8, "without_mask": 0.2}
    assert document["faces"][1]["landmarks"] == [[1.0, 2.0]]
    assert document["speed_ms"] == {"read": 1.0}
    assert document["schema_version"] == 1
    assert document["maskkit_version"] == maskkit.__version__


def test_summary_lists_the_faces_without_a_required_class():
    small = replace(FACES[0], reasons=("too_small",))
    photo = make_photo((*FACES, small))
    found = photo.summary(required="with_mask")
    assert [[face["face"] for face in found[group]] for group in ("with", "without", "uncertain")] == [[1], [2], [3]]
    assert found["without"] == [{"face": 2, "box": [100, 10, 130, 40], "decision": "without_mask"}]
    assert found["required"] == ["with_mask"]
    assert found["all_comply"] is False
    assert photo.summary(required=["with_mask", "without_mask"])["without"] == []


@pytest.mark.parametrize(
    ("faces", "complies"),
    [((FACES[0],), True), ((FACES[1],), False), ((), None), ((FACES[0], replace(FACES[0], reasons=("x",))), None)],
)
def test_all_comply_only_if_every_face_is_decided(faces, complies):
    assert make_photo(faces).summary(required="with_mask")["all_comply"] is complies


def test_faces_that_were_left_out_may_not_comply():
    photo = replace(make_photo(FACES[:1]), left_out=((0, 0, 9, 9),))
    assert photo.summary(required="with_mask")["all_comply"] is None
    assert photo.summary(required="without_mask")["all_comply"] is False


@pytest.mark.parametrize("required", ["mask", [], ["with_mask", "mask"]])
def test_a_required_class_is_one_of_the_model(required):
    with pytest.raises(ValueError, match=r"are not classes of the model; want some of \['with_mask'"):
        make_photo().summary(required=required)


def test_results_name_the_model_by_its_content(savable, faces, tmp_path):
    """Saved and loaded the same; calibrated another."""
    image = faces[0][0]
    loaded = MaskClassifier.load(savable.save(tmp_path / "model"))
    sha256 = savable.predict_faces(image).model_sha256
    assert len(sha256) == 64
    assert loaded.predict_faces(image).to_dict()["model_sha256"] == sha256
    assert loaded.set_params(threshold=0.9).predict_faces(image).model_sha256 == sha256
    assert loaded.calibrate(*faces).predict_faces(image).model_sha256 != sha256


def test_a_head_of_another_library_has_no_hash(faces):
    model = make_classifier(head=LogisticRegression()).fit(*faces)
    assert model.predict_faces(faces[0][0]).model_sha256 is None


def test_faces_have_the_same_numbers_everywhere(tmp_path, monkeypatch):
    """In the drawn photo, the table, JSON, rows and file names; from 1."""
    photo = make_photo()
    drawn = []
    monkeypatch.setattr("maskkit._display.drawing.draw_tag", lambda _, tag: drawn.append(tag.text))
    photo.draw()
    assert [text[0] for text in drawn[:2]] == ["1", "2"]
    assert [face["face"] for face in photo.to_dict()["faces"]] == [1, 2]
    assert [row[0] for row in photo.table().rows] == [1, 2]
    assert [path.name for path in photo.save_crops(tmp_path, stem="a")] == ["a-1-with_mask.png", "a-2-without_mask.png"]


def test_columns_of_the_table_are_explained():
    note = make_photo().table().note
    assert all(f"{column}: " in note for column in ("probability", "detection score", "box", "size"))


def test_dataframe_has_a_row_a_face():
    pytest.importorskip("pandas")
    table = make_photo().to_dataframe()
    assert list(table.columns) == COLUMNS + CLASS_COLUMNS
    assert table["face"].tolist() == [1, 2]
    assert table["label"].tolist() == ["with_mask", "without_mask"]
    nobody = make_photo(()).to_dataframe()
    assert nobody["status"].tolist() == ["no_face"]
    assert nobody["label"].tolist() == [None]


def test_missing_pandas_gives_the_line_to_type(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pip install 'maskkit\[pandas\]'"):
        make_photo().to_dataframe()


def test_rows_can_be_written_as_csv(savable, faces, tmp_path, capsys):
    Image.fromarray(faces[0][0]).save(tmp_path / "street.png")
    model = savable.save(tmp_path / "model")
    code, out, _ = run(capsys, "predict", tmp_path / "street.png", "--model", model, "--format", "csv")
    (face,) = savable.predict_faces(tmp_path / "street.png")
    header, row = csv.reader(io.StringIO(out))
    assert (code, header) == (0, COLUMNS + CLASS_COLUMNS)
    assert row[:5] == [str(tmp_path / "street.png"), "ok", "1", "with_mask", "with_mask"]
    assert [float(number) for number in row[5:7]] == pytest.approx([face.probability, 1.0])
    assert row[7:15] == ["0", "0", "64", "64", "64", "", "", ""]
    assert [float(number) for number in row[17:]] == pytest.approx(list(face.probabilities.values()))


def test_drawing_marks_the_boxes_and_leaves_the_photo_alone():
    before = PIXELS.copy()
    drawn = np.asarray(make_photo().draw())
    np.testing.assert_array_equal(PIXELS, before)
    assert drawn.shape == PIXELS.shape
    assert (drawn[50, 10] == [0, 0x72, 0xB2]).all()  # left edge of the masked face, blue
    np.testing.assert_array_equal(drawn[100:, 140:], PIXELS[100:, 140:])


def test_blur_removes_detail_from_faces_only():
    drawn = np.asarray(make_photo().draw(blur=True)).astype(int)
    inside, outside = (slice(40, 80), slice(20, 60)), (slice(100, 120), slice(140, 160))
    assert drawn[inside].std() < 0.4 * PIXELS[inside].std()
    np.testing.assert_array_equal(drawn[outside], PIXELS[outside])


def test_faces_at_the_edge_and_tiny_ones_can_be_drawn():
    faces = tuple(
        FaceResult(box, 1.0, "a", 1.0, {"a": 1.0}) for box in [(0, 0, 1, 1), (159, 119, 160, 120), (0, 0, 160, 120)]
    )
    assert make_photo(faces).draw(blur=True).size == (160, 120)


def test_saved_pictures_carry_no_metadata(tmp_path):
    exif = Image.Exif()
    exif[0x010E] = "secret place"
    source = tmp_path / "street.jpg"
    Image.fromarray(PIXELS).save(source, exif=exif)
    photo = make_photo(source=source, name=str(source))
    for path in (photo.save(tmp_path / "out" / "drawn.jpg"), *photo.save_crops(tmp_path / "crops")):
        with Image.open(path) as saved:
            assert not saved.getexif()
        assert b"secret" not in path.read_bytes()


def test_crops_are_named_by_photo_place_and_label(tmp_path):
    photo = make_photo(source="x", name="street.jpg")
    assert make_photo(()).save_crops(tmp_path / "none") == []
    assert not (tmp_path / "none").exists()
    with pytest.raises(ImageError, match=r"street\.jpg"):
        photo.save_crops(tmp_path)
    paths = make_photo().save_crops(tmp_path / "crops")
    assert [path.name for path in paths] == ["photo-1-with_mask.png", "photo-2-without_mask.png"]
    with Image.open(paths[0]) as crop:
        assert (crop.size, crop.mode) == ((80, 80), "RGB")  # 1.15 times 70


def show(photo):
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(photo)
    return console.export_text()


def test_a_terminal_shows_the_faces():
    text = show(make_photo())
    assert "without_mask" in text
    assert max(map(len, text.splitlines())) <= 80


def test_doubt_is_shown_with_its_reason():
    doubted = replace(FACES[0], reasons=("too_small", "low_probability"))
    for shown in (show(make_photo((doubted, FACES[1]))), make_photo((doubted, FACES[1]))._repr_html_()):
        assert "uncertain" in shown
        assert "reasons" in shown
        assert "low_probability" in shown
    assert "reasons" not in show(make_photo())
    assert "uncertain (too_small, low_probability)" in doubted._repr_html_()


class Page(HTMLParser):
    """The tags and words of some HTML."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.words, self.attributes = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.words.append(data)


def test_a_notebook_shows_the_photo_beside_its_faces():
    page = Page(make_photo()._repr_html_())
    assert page.tags.count("img") == page.tags.count("table") == 1
    assert {"street.jpg", "with_mask", "0.800", "70", "10 20 70 90"} <= set(page.words)
    ((_, source),) = [attribute for attribute in page.attributes if attribute[0] == "src"]
    with Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) as picture:
        assert picture.size == (160, 120)
    assert ("alt", "street.jpg: 1 with_mask, 1 without_mask") in page.attributes


@pytest.mark.parametrize(
    ("photo", "said"),
    [
        (make_photo(()), "street.jpg: no face"),
        (make_photo((), error="street.jpg: broken"), "street.jpg: broken"),
        (make_photo(source="gone.jpg", name="gone.jpg"), "gone.jpg: no such file"),
    ],
)
def test_a_notebook_says_what_cannot_be_shown(photo, said):
    page = Page(photo._repr_html_())
    assert said in " ".join(page.words)
    assert ("img" in page.tags) is (photo.status == "no_face")


EVIL = '"><script>alert(1)</script><img src=x onerror=alert(2)>'


@pytest.mark.parametrize("status", ["ok", "no_face", "unreadable"])
def test_names_and_classes_run_nothing_in_a_notebook(status):
    faces = (FaceResult((1, 2, 30, 40), 0.9, EVIL, 0.8, {EVIL: 0.8, "b": 0.2}, reasons=(EVIL,)),)
    photo = make_photo(faces if status == "ok" else (), name=EVIL, error=EVIL if status == "unreadable" else None)
    for html in (photo._repr_html_(), faces[0]._repr_html_()):
        page = Page(html)
        assert "script" not in page.tags
        assert "onerror" not in dict(page.attributes)
        assert EVIL in "".join(page.words)
