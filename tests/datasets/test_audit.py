"""Audits of drawn faces and duplicates of them."""

import json

import numpy as np
import pytest
from PIL import Image
from sklearn.model_selection import GroupKFold

pytest.importorskip("cleanlab")
pytest.importorskip("imagehash")

from maskkit.datasets import audit, load_faces
from maskkit.datasets._audit_checks import find_similar_features, find_similar_hashes, group_duplicates
from maskkit.testing import make_faces


def make_photo(face, rng, side=96):
    """Blend a drawn face with a random pattern, because drawn faces are more alike than photos."""
    noise = Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8))
    noise = noise.resize((side, side), Image.Resampling.BICUBIC)
    return Image.blend(Image.fromarray(face).resize((side, side)), noise, 0.55)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Thirty photo-like faces, duplicates of several kinds and one broken file."""
    folder = tmp_path_factory.mktemp("faces")
    rng = np.random.default_rng(0)
    faces, labels = make_faces(30, random_state=1)
    for split in ("Train", "Validation"):
        for label in set(labels):
            (folder / split / label).mkdir(parents=True)
    for index, (face, label) in enumerate(zip(faces, labels, strict=True)):
        picture = make_photo(face, rng)
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


def test_duplicates_are_found_and_nothing_else(found):
    pairs = [names_of(found, pair) for pair in found.duplicates]
    assert sorted(map(sorted, pairs)) == [
        ["00.png", "same.png"],
        ["01.png", "mirrored.png"],
        ["02.png", "compressed.jpg"],
        ["03.png", "small.png"],
    ]
    assert found.n_exact == 1
    assert found.n_leaked == 3


def test_groups_keep_duplicates_in_one_fold(found):
    assert len(found.groups) == len(found.names) == 34
    assert len(np.unique(found.groups)) == 30
    for train, test in GroupKFold(5).split(found.names, groups=found.groups):
        assert not {found.groups[index] for index in train} & {found.groups[index] for index in test}


def test_unreadable_images_are_listed(found):
    (name, reason), *others = found.unreadable.items()
    assert not others
    assert name.endswith("broken.png")
    assert "cannot be read as an image" in reason


def test_shortcuts_are_measured(tmp_path):
    rng = np.random.default_rng(0)
    for index, (face, label) in enumerate(zip(*make_faces(80), strict=True)):
        (tmp_path / label).mkdir(exist_ok=True)
        make_photo(face, rng, side=80 if label == "with_mask" else 90).save(tmp_path / label / f"{index}.png")
    shortcuts = audit(load_faces(tmp_path)).shortcuts
    assert shortcuts["width"].value == shortcuts["all"].value == 1
    assert shortcuts["file type"].value <= 0.6


def test_no_file_is_changed(folder):
    before = {path: path.read_bytes() for path in sorted(folder.rglob("*.*"))}
    audit(load_faces(folder, shuffle=False))
    assert {path: path.read_bytes() for path in sorted(folder.rglob("*.*"))} == before


def test_results_as_json_tables_and_pictures(found, tmp_path):
    document = json.loads(json.dumps(found.to_dict()))
    assert {"n_leaked", "duplicates", "label_issues", "shortcuts"} <= document.keys()
    titles = [table.title for table in found.tables()]
    assert titles[:3] == ["Audit", "Classes", "Shortcuts"]
    with Image.open(found.save_pictures(tmp_path / "pictures") / "duplicates.png") as picture:
        assert picture.width > 500


def test_groups_are_transitive():
    pairs = np.array([[0, 4], [2, 4], [1, 3]])
    groups = group_duplicates(pairs, 6)
    assert groups[0] == groups[2] == groups[4]
    assert groups[1] == groups[3]
    assert len(set(groups.tolist())) == 3


def test_comparison_in_blocks_finds_the_same_pairs():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(2500, 8)).astype(np.float32)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    expected = np.argwhere(np.triu(unit @ unit.T >= 0.97, 1))
    np.testing.assert_array_equal(find_similar_features(features, 0.97), expected)
    hashes = rng.integers(0, 16, 1500, dtype=np.uint64)
    apart = np.bitwise_count(hashes[:, None] ^ hashes)
    np.testing.assert_array_equal(find_similar_hashes(hashes, ~hashes, 0), np.argwhere(np.triu(apart == 0, 1)))


def test_other_data_raises():
    with pytest.raises(TypeError, match="want"):
        audit("face-mask-12k")


def test_one_class_alone_has_no_shortcuts_and_no_label_issues():
    faces, _ = make_faces(12)
    found = audit((faces, ["with_mask"] * 12))
    assert (found.shortcuts, found.label_issues) == ({}, ())


def test_checks_without_enough_groups_are_not_measured(tmp_path):
    for index, (face, label) in enumerate(zip(*make_faces(8), strict=True)):  # fewer groups per class than folds
        (tmp_path / label).mkdir(exist_ok=True)
        Image.fromarray(face).save(tmp_path / label / f"{index}.png")
    found = audit(load_faces(tmp_path))
    assert found.shortcuts == {}
    table, _, shortcuts = found.tables()[:3]
    assert ("label issues", "not measured") in table.rows
    assert shortcuts.note.startswith("Not measured")
