"""What the audit finds in drawn faces and copies of them, and that it changes nothing."""

import json

import numpy as np
import pytest
from PIL import Image
from sklearn.model_selection import GroupKFold

pytest.importorskip("cleanlab")
pytest.importorskip("imagehash")

from maskkit.datasets import audit, load_faces
from maskkit.datasets._copies import find_near_features, find_near_hashes, group
from maskkit.testing import make_faces


def make_photo(face, rng, side=96):
    """Lay a pattern of its own over a drawn face, which are alike where photos are not."""
    noise = Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8))
    noise = noise.resize((side, side), Image.Resampling.BICUBIC)
    return Image.blend(Image.fromarray(face).resize((side, side)), noise, 0.55)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Thirty photo-like faces, their copies of several kinds, one wrong label and one broken file."""
    folder = tmp_path_factory.mktemp("faces")
    rng = np.random.default_rng(0)
    faces, labels = make_faces(30, random_state=1)
    for split in ("Train", "Validation"):
        for label in set(labels):
            (folder / split / label).mkdir(parents=True)
    for index, (face, label) in enumerate(zip(faces, labels, strict=True)):
        picture = Image.fromarray(face).resize((96, 96))
        # Drawn faces are alike; each gets a background of its own, as photos have.
        noise = Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)).resize(
            (96, 96), Image.Resampling.BICUBIC
        )
        picture = Image.blend(picture, noise, 0.55)
        picture.save(folder / "Train" / label / f"{index:02}.png")
        if index == 0:
            picture.save(folder / "Validation" / label / "same.png")
        if index == 1:
            picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / "Validation" / label / "mirrored.png")
        if index == 2:
            picture.save(folder / "Validation" / label / "compressed.jpg", quality=60)
        if index == 3:
            picture.resize((60, 60)).save(folder / "Train" / label / "small.png")
    (folder / "Train" / labels[0] / "broken.png").write_bytes(b"nothing")
    return folder


@pytest.fixture(scope="module")
def found(folder):
    return audit(load_faces(folder, shuffle=False))


def names_of(found, pair):
    return {found.names[index].rpartition("/")[2] for index in pair}


def test_copies_are_found_and_nothing_else(found):
    pairs = [names_of(found, pair) for pair in found.copies]
    assert sorted(map(sorted, pairs)) == [
        ["00.png", "same.png"],
        ["01.png", "mirrored.png"],
        ["02.png", "compressed.jpg"],
        ["03.png", "small.png"],
    ]
    assert found.n_exact == 1
    assert found.n_across == 3


def test_groups_keep_copies_in_one_fold(found):
    assert len(found.groups) == len(found.names) == 34
    assert len(np.unique(found.groups)) == 30
    for train, test in GroupKFold(5).split(found.names, groups=found.groups):
        assert not {found.groups[index] for index in train} & {found.groups[index] for index in test}


def test_the_unreadable_are_named(found):
    (name, reason), *others = found.unreadable.items()
    assert not others
    assert name.endswith("broken.png")
    assert "cannot be read as an image" in reason


def test_it_says_what_tells_the_class(tmp_path):
    rng = np.random.default_rng(0)
    for index, (face, label) in enumerate(zip(*make_faces(80), strict=True)):
        (tmp_path / label).mkdir(exist_ok=True)
        make_photo(face, rng, side=80 if label == "with_mask" else 90).save(tmp_path / label / f"{index}.png")
    telling = audit(load_faces(tmp_path)).telling
    assert telling["width"].value == telling["all"].value == 1
    assert telling["file type"].value <= 0.6


def test_nothing_is_changed(folder):
    before = {path: path.read_bytes() for path in sorted(folder.rglob("*.*"))}
    audit(load_faces(folder, shuffle=False))
    assert {path: path.read_bytes() for path in sorted(folder.rglob("*.*"))} == before


def test_it_can_be_printed_written_and_drawn(found, tmp_path):
    json.dumps(found.to_dict())
    titles = [table.title for table in found.tables()]
    assert titles[:3] == ["Audit", "Classes", "What tells the class without looking at the face"]
    with Image.open(found.save_pictures(tmp_path / "pictures") / "copies.png") as picture:
        assert picture.width > 500


def test_groups_go_through_others():
    pairs = np.array([[0, 4], [2, 4], [1, 3]])
    groups = group(pairs, 6)
    assert groups[0] == groups[2] == groups[4]
    assert groups[1] == groups[3]
    assert len(set(groups.tolist())) == 3


def test_blocks_find_what_one_comparison_finds():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(2500, 8)).astype(np.float32)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    expected = np.argwhere(np.triu(unit @ unit.T >= 0.97, 1))
    np.testing.assert_array_equal(find_near_features(features, 0.97), expected)
    hashes = rng.integers(0, 16, 1500, dtype=np.uint64)
    apart = np.bitwise_count(hashes[:, None] ^ hashes)
    np.testing.assert_array_equal(find_near_hashes(hashes, ~hashes, 0), np.argwhere(np.triu(apart == 0, 1)))


def test_photos_are_refused():
    with pytest.raises(TypeError, match="want"):
        audit("face-mask-12k")


def test_what_was_not_looked_for_is_not_called_none(tmp_path):
    for index, (face, label) in enumerate(zip(*make_faces(8), strict=True)):  # too few of a kind for folds
        (tmp_path / label).mkdir(exist_ok=True)
        Image.fromarray(face).save(tmp_path / label / f"{index}.png")
    found = audit(load_faces(tmp_path))
    assert found.telling == {}
    table, _, telling = found.tables()[:3]
    assert ("suspect labels", "not looked for") in table.rows
    assert telling.note.startswith("Not measured")
