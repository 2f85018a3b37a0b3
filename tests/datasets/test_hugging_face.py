"""Data sets of the library datasets."""

import io
import pickle

import pytest
from PIL import Image
from sklearn.model_selection import cross_val_score

from maskkit import evaluate
from maskkit.datasets import collage, describe, from_hugging_face
from maskkit.exceptions import DataError, ImageError, SkippedImageWarning
from maskkit.testing import make_faces
from tests.conftest import make_classifier
from tests.datasets.photos import BOXES, draw_photos

hub = pytest.importorskip("datasets", reason="datasets is not installed: pip install datasets")

CLASSES = ["with_mask", "without_mask"]


def encode(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}


def make_dataset(n_images=8, feature=None, **changes):
    faces, labels = make_faces(n_images)
    feature = feature or hub.ClassLabel(names=CLASSES)
    columns = {
        "image": list(map(encode, faces)),
        "label": [CLASSES.index(label) for label in labels],
        "camera": list("abcdefghij"[:n_images]),
    } | changes
    features = {"image": hub.Image(), "label": feature, "camera": hub.Value("string")}
    return hub.Dataset.from_dict(columns, features=hub.Features(features))


def make_photo_dataset(photos, *, is_list, **changes):
    box, category = hub.List(hub.Value("float32")), hub.ClassLabel(names=CLASSES)
    faces = [
        {
            "bbox": [[left, top, right - left, bottom - top] for left, top, right, bottom in photo.boxes_xyxy.tolist()],
            "category": [CLASSES.index(label) for label in photo.labels.tolist()],
        }
        | changes
        for photo in photos
    ]
    feature = {"bbox": hub.List(box), "category": hub.List(category)}
    if is_list:
        feature = hub.List({"bbox": box, "category": category})
        faces = [
            [{"bbox": box, "category": category} for box, category in zip(*of.values(), strict=True)] for of in faces
        ]
    images = [{"bytes": None, "path": str(photo.path)} for photo in photos]
    return hub.Dataset.from_dict(
        {"image": images, "objects": faces}, features=hub.Features({"image": hub.Image(), "objects": feature})
    )


def test_a_model_is_trained_on_a_dataset_of_crops():
    dataset = make_dataset()
    faces = from_hugging_face(dataset)
    assert (faces.labels.tolist(), list(faces.splits)) == (CLASSES * 4, ["all"])
    assert faces.columns == {"camera": list("abcdefgh")}
    drawn, labels = make_faces(8)
    model = make_classifier().fit(faces.paths, faces.labels)
    assert (model.predict_proba(faces.paths) == make_classifier().fit(drawn, labels).predict_proba(drawn)).all()
    assert evaluate(model, faces, n_resamples=1).n_faces == 8
    assert describe(faces).counts == {"all": {"with_mask": 4, "without_mask": 4}}
    assert pickle.loads(pickle.dumps(faces.paths[2])).read() == faces.paths[2].read() == encode(drawn[2])["bytes"]
    shuffled = from_hugging_face(dataset.shuffle(seed=1).select(range(4)))
    order = ["abcdefgh".index(camera) for camera in shuffled.columns["camera"]]
    assert [source.read() for source in shuffled.paths] == [faces.paths[row].read() for row in order]


def test_splits_and_labels_that_are_text_or_numbers():
    parts = {
        "Train": make_dataset(6, hub.Value("string"), label=["a", "b"] * 3),
        "test": make_dataset(2, hub.Value("int64"), label=[1, 2]),
    }
    faces = from_hugging_face(hub.DatasetDict(parts))
    assert repr(faces) == "<faces, train: 6, test: 2>"
    assert faces.test.labels.tolist() == ["1", "2"]
    assert make_classifier().fit(faces.train.paths, faces.train.labels).classes_.tolist() == ["a", "b"]


@pytest.mark.parametrize("is_list", [True, False])
def test_a_model_is_trained_on_a_dataset_of_photos(tmp_path, is_list):
    photos = draw_photos(tmp_path, 4)
    read = from_hugging_face(make_photo_dataset(photos, is_list=is_list))
    assert [photo.labels.tolist() for photo in read] == [photo.labels.tolist() for photo in photos]
    assert read[0].boxes_xyxy.tolist() == [list(box) for box in BOXES]
    model, other = make_classifier().fit(read), make_classifier().fit(photos)
    assert (model.predict_proba(make_faces(4)[0]) == other.predict_proba(make_faces(4)[0])).all()
    assert len(cross_val_score(make_classifier(), read, cv=2)) == 2
    assert describe(read).counts == {"all": {"with_mask": 4, "without_mask": 4}}
    assert collage(read, tile_px=32).size[0] > 32
    assert [result.status for result in model.predict_photos([read[0].path])] == ["ok"]


def test_broken_rows_are_named(tmp_path):
    with pytest.raises(DataError, match=r"dataset\[1\]: its class is -1; want a class in every row"):
        from_hugging_face(make_dataset(2, label=[0, -1]))
    with pytest.raises(DataError, match=r"dataset\['train'\]\[0\]: its class is None"):
        from_hugging_face(hub.DatasetDict(train=make_dataset(2, label=[None, 0])))
    photos = draw_photos(tmp_path, 1)[:1]
    with pytest.raises(DataError, match=r"dataset\[0\]: its bbox is \[1\.0, 2\.0\]; want \[x, y, width, height\]"):
        from_hugging_face(make_photo_dataset(photos, is_list=False, bbox=[[1, 2]] * 2))
    with pytest.raises(DataError, match=r"dataset\[0\].*: the box .* lies outside"):
        from_hugging_face(make_photo_dataset(photos, is_list=False, bbox=[[500, 2, 20, 20]] * 2))
    broken = make_dataset(2, image=[{"bytes": b"no image", "path": None}, {"bytes": None, "path": "none.png"}])
    messages = (r"dataset\[0\]\): cannot be read as an image", r"dataset\[1\]: its image is missing .*none\.png")
    for source, message in zip(from_hugging_face(broken).paths, messages, strict=True):
        with pytest.raises(ImageError, match=message):
            make_classifier().fit([source, *make_faces(2)[0]], ["a", "b", "c"])
    with pytest.warns(SkippedImageWarning, match=r"2 of 2 images cannot be read"):
        assert from_hugging_face(broken, on_error="skip").paths == []


def test_other_objects_and_columns_are_refused():
    dataset = make_dataset(2)
    with pytest.raises(TypeError, match=r"dataset is of type IterableDataset; want a Dataset .* without streaming"):
        from_hugging_face(dataset.to_iterable_dataset())
    with pytest.raises(TypeError, match="dataset is of type list; want a Dataset"):
        from_hugging_face([1, 2])
    for change, message in (
        ({"image": "photo"}, r"has no column 'photo'; its columns are 'image', 'label', 'camera'\. .*image='NAME'"),
        ({"label": "kind"}, r"has no column 'kind'; .*label='NAME'"),
        ({"image": "camera"}, r"the column 'camera' is Value\('string'\); want Image"),
        ({"label": "kind", "objects": "camera"}, r"the column 'camera' is Value.*; want bbox and category"),
    ):
        with pytest.raises(DataError, match=f"dataset: {message}"):
            from_hugging_face(dataset, **change)
    with pytest.raises(DataError, match="the split 'Paths' has a name that is taken"):
        from_hugging_face({"Paths": dataset})
    with pytest.raises(DataError, match="has no rows"):
        from_hugging_face(dataset.select([]))
