"""The API of a review, and who may use it."""

import io
import json

import httpx2
import pytest
from PIL import Image

from maskkit.review import Face, FaceKey, LabelFile, QueuedFace, Teacher, create_app
from tests.review.conftest import CLASSES, TOKEN, serving


def post(client, answers, **options):
    return client.post("v1/answers", json={"answers": answers}, **options)


def test_faces_come_with_reasons_and_the_answers_that_can_be_given(client):
    told = client.get("v1/faces").json()
    assert len(told["faces"]) == 40
    assert {"reason", "text", "name", "predicted"} == set(told["faces"][0])
    keys = [(choice["answer"], choice["digit"], choice["letter"]) for choice in told["choices"]]
    assert keys == [
        ("with_mask", "1", "w"),
        ("without_mask", "2", "o"),
        ("mask_worn_incorrectly", "3", "i"),
        ("not a face", "4", "n"),
        ("skipped", "5", "s"),
    ]
    assert told["answers"] == {}


def test_answers_are_written_at_once_and_can_be_removed(client):
    assert post(client, {"0": "with_mask", "5": "not a face"}).json() == {"n_rows": 2}
    assert sorted(client.labels_file.read().values()) == ["not a face", "with_mask"]
    assert client.get("v1/answers").json() == {"0": "with_mask", "5": "not a face"}
    post(client, {"0": None})
    assert client.get("v1/answers").json() == {"5": "not a face"}


def test_answers_of_another_process_are_shown_and_kept(client):
    post(client, {"0": "with_mask"})
    other = LabelFile(client.labels_file.path, has_boxes=False)
    (key,) = other.read()
    other.write({key: "without_mask"}, {key.path: "g"})
    assert client.get("v1/answers").json() == {"0": "without_mask"}


@pytest.mark.parametrize(
    ("answers", "status"),
    [({"40": "with_mask"}, 404), ({"-1": "with_mask"}, 404), ({"0": "a hat"}, 422), ({"x": "n"}, 422)],
)
def test_nothing_is_written_if_one_answer_is_wrong(client, answers, status):
    assert post(client, {"1": "with_mask", **answers}).status_code == status
    assert not client.labels_file.path.exists()


def test_a_file_that_became_something_else_is_not_replaced(client):
    client.labels_file.path.write_text("my,notes\n1,2\n")
    answer = post(client, {"0": "with_mask"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "labels_file")
    assert "is no file of answers" in answer.json()["error"]["message"]
    assert client.labels_file.path.read_text() == "my,notes\n1,2\n"


def test_pictures_are_made_by_index(client):
    for kind, size in (("thumbnail", 192), ("picture", 720)):
        picture = client.get(f"v1/faces/3/{kind}")
        assert Image.open(io.BytesIO(picture.content)).size == (size, size)
        assert picture.headers["cache-control"] == "no-store"
    assert client.get("v1/faces/40/thumbnail").status_code == 404
    for path in ("v1/faces/..%2F..%2Fetc%2Fpasswd/thumbnail", "static/review/..%2F_app.py", "static/..%2F_app.py"):
        assert client.get(path).status_code in (404, 422)


def test_a_face_of_a_photo_is_shown_with_its_box_and_nothing_beyond_the_photo(tmp_path):
    photo = tmp_path / "wide.png"
    Image.new("RGB", (300, 100), "#ffffff").save(photo)
    faces = [Face(FaceKey(photo, box), None, "a") for box in ((0, 20, 40, 60), (140, 20, 180, 60))]
    labels_file = LabelFile(tmp_path / "labels.csv", has_boxes=True)
    queue = [QueuedFace(face, "other", "", "with_mask", 1.0) for face in faces]
    app = create_app(queue, labels_file, Teacher(None, labels_file), classes=CLASSES, token=TOKEN)
    with serving(app) as url:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        files = [httpx2.get(f"{url}v1/faces/{i}/picture", headers=headers, trust_env=False).content for i in (0, 1)]
    left, middle = (Image.open(io.BytesIO(file)).convert("L") for file in files)
    assert left.size == (576, 720)  # 80 x 100 px of the photo
    assert middle.size == (720, 600)  # 120 x 100 px
    assert middle.getpixel((240, 240)) < 140  # the edge of the box
    assert middle.getpixel((360, 120)) < 140
    assert middle.getpixel((360, 240)) > 240


def test_an_image_that_vanished_is_an_error_of_its_own(client):
    name = client.get("v1/faces").json()["faces"][0]["name"]
    (client.labels_file.path.parent / "crops" / name).unlink()
    answer = client.get("v1/faces/0/thumbnail")
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "unreadable")
    assert client.get("v1/faces/1/thumbnail").status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": ""}, 401),
        ({"Host": "rebound.example.org"}, 403),
        ({"Origin": "https://elsewhere.example.org"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}, 403),
    ],
)
def test_others_get_and_write_nothing(client, headers, status):
    assert client.get("v1/faces", headers=headers).status_code == status
    assert client.get("v1/faces/0/thumbnail", headers=headers).status_code == status
    assert post(client, {"0": "with_mask"}, headers=headers).status_code == status
    assert not client.labels_file.path.exists()


def test_a_form_of_another_page_cannot_be_an_answer(client):
    body = json.dumps({"answers": {"0": "with_mask"}})
    for kind in ("text/plain", "application/x-www-form-urlencoded", None):
        headers = {} if kind is None else {"Content-Type": kind}
        assert client.post("v1/answers", content=body, headers=headers).status_code == 422
    assert not client.labels_file.path.exists()


def test_the_page_needs_no_token_and_holds_no_face(client):
    page = httpx2.get(f"{client.base_url}", trust_env=False)
    assert page.status_code == 200
    assert TOKEN not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for name in ("review/review.js", "review/review.css", "style.css", "icon.svg"):
        assert httpx2.get(f"{client.base_url}static/{name}", trust_env=False).status_code == 200
