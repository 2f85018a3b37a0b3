"""Audits of drawn faces and duplicates of them."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.model_selection import GroupKFold

pytest.importorskip("cleanlab")
pytest.importorskip("imagehash")

from maskkit.datasets import audit, load_faces
from maskkit.datasets._audit_checks import (
    estimate_limit,
    find_duplicates,
    find_obstacle,
    find_similar_features,
    find_similar_hashes,
    group_duplicates,
    measure_image,
)
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


def test_comparison_in_blocks_finds_the_same_hashes():
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 16, 1500, dtype=np.uint64)
    apart = np.bitwise_count(hashes[:, None] ^ hashes)
    np.testing.assert_array_equal(find_similar_hashes(hashes, ~hashes, 0), np.argwhere(np.triu(apart == 0, 1)))


def make_features(n_images, rng, n_kinds=3, n_features=200):
    """Features of different pictures of several kinds: those of one kind are alike."""
    kinds = rng.normal(size=(n_kinds, n_features))
    features = kinds[rng.integers(0, n_kinds, n_images)] + rng.normal(size=(n_images, n_features))
    return np.maximum(features, 0).astype(np.float32)


@pytest.mark.parametrize("n_images", [300, 511, 512, 520, 600, 1000, 1500])
def test_no_copies_are_invented_and_copies_are_found_whatever_the_number_of_images(n_images):
    rng = np.random.default_rng(n_images)
    features = make_features(n_images, rng)
    assert len(find_similar_features(features)) == 0
    copied = np.arange(0, n_images, 10)
    noise = rng.normal(scale=0.1, size=(len(copied), features.shape[1]))
    features = np.concatenate([features, np.maximum(features[copied] + noise, 0)]).astype(np.float32)
    pairs = find_similar_features(features)
    np.testing.assert_array_equal(pairs, np.column_stack([copied, n_images + np.arange(len(copied))]))


def test_the_limit_grows_with_the_number_of_pairs():
    values = np.random.default_rng(0).normal(size=(2000, 2000)).astype(np.float32)
    few, many = (estimate_limit(lambda rows, n=n: values[rows, :n], n) for n in (40, 2000))
    assert 4 < few < many < 7  # in standard deviations, as the values are normal


@pytest.mark.parametrize("n_images", [2, 6, 12, 40, 120])
def test_drawings_that_are_alike_are_no_copies(n_images):
    faces, labels = make_faces(n_images, random_state=n_images)
    found = audit((list(faces), labels))
    assert (len(found.duplicates), found.n_exact) == (0, 0)
    assert len(np.unique(found.groups)) == n_images


@pytest.mark.parametrize("n_images", [2, 9, 40])
def test_equal_images_are_one_group(n_images):
    face = make_faces(2)[0][0]
    found = audit(([face] * n_images, ["with_mask", "without_mask"] * (n_images // 2) + ["with_mask"] * (n_images % 2)))
    assert found.n_exact == n_images - 1
    assert len(found.duplicates) == n_images * (n_images - 1) // 2
    assert len(np.unique(found.groups)) == 1
    assert found.not_measured


def test_hashes_of_flat_pictures_make_no_pair():
    rng = np.random.default_rng(0)
    shades = [np.full((64, 64, 3), shade, dtype=np.uint8) for shade in (0, 90, 200)]
    noisy = [np.clip(shade + rng.normal(size=shade.shape), 0, 255).astype(np.uint8) for shade in shades]
    traits = [measure_image(index, image) for index, image in enumerate(shades + noisy)]
    assert len(find_duplicates(traits, np.eye(6, dtype=np.float32))) == 0


def test_no_unmasked_faces_of_different_people_are_copies(data_dir):
    rng = np.random.default_rng(16)
    bare = sorted((data_dir / "face-mask-12k" / "Validation" / "WithoutMask").iterdir())
    masked = sorted((data_dir / "face-mask-12k" / "Validation" / "WithMask").iterdir())
    for n_images in (90, 400, 540, 620):
        paths = [paths[row] for paths in (bare, masked) for row in rng.permutation(400)[: n_images // 2]]
        labels = [path.parent.name for path in paths]
        found = audit((paths, labels))
        assert not [pair for pair in found.duplicates if "WithoutMask" in {labels[index] for index in pair}]


def test_an_audit_is_the_same_on_processors_with_bfloat16(folder, monkeypatch):
    for module in ("maskkit.engines", "maskkit.engines._devices"):
        monkeypatch.setattr(f"{module}.has_fast_bfloat16", lambda device: pytest.fail("the precision depends on it"))
    audit(load_faces(folder))


def test_other_data_raises():
    with pytest.raises(TypeError, match="want"):
        audit("face-mask-12k")


def test_one_class_alone_has_no_shortcuts_and_no_label_issues():
    faces, _ = make_faces(12)
    found = audit((faces, ["with_mask"] * 12))
    assert (found.shortcuts, found.label_issues) == ({}, ())


def test_checks_are_not_measured_if_one_group_holds_half_of_a_class():
    labels, groups = np.repeat(["bare", "masked"], 20), np.arange(40)
    assert find_obstacle(labels, groups) == ""
    groups[:10] = 0
    assert find_obstacle(labels, groups) == "one group of duplicates holds 10 of the 20 images of bare"


def test_audit_says_why_shortcuts_are_not_measured():
    faces, labels = make_faces(40)
    first = labels.tolist().index("with_mask")
    faces = [
        faces[first] if label == "with_mask" and index < 30 else faces[index] for index, label in enumerate(labels)
    ]
    found = audit((faces, labels))
    assert (found.shortcuts, found.label_issues, found.suggested_labels) == ({}, (), ())
    assert "holds 15 of the 20 images of with_mask" in found.not_measured
    assert found.to_dict()["not_measured"] == found.not_measured
    assert found.not_measured in found.tables()[2].note


def test_properties_that_tell_nothing_are_said_to_be_no_better_than_guessing(tmp_path):
    rng = np.random.default_rng(0)
    for index, (face, label) in enumerate(zip(*make_faces(80), strict=True)):
        (tmp_path / label).mkdir(exist_ok=True)
        make_photo(face, rng, side=80 if label == "with_mask" else 90).save(tmp_path / label / f"{index}.png")
    shortcuts = audit(load_faces(tmp_path)).tables()[2]
    told = {name: word for name, _, word in shortcuts.rows}
    assert (told["width"], told["file type"]) == ("better", "no better")
    assert "reaches 0.500" in shortcuts.note


def test_label_issues_name_the_path_and_the_suggested_label(tmp_path):
    faces, labels = make_faces(60, random_state=2)
    for index, (face, label) in enumerate(zip(faces, labels, strict=True)):
        if index == 5:
            label = "with_mask" if label == "without_mask" else "without_mask"
        (tmp_path / label).mkdir(exist_ok=True)
        Image.fromarray(face).save(tmp_path / label / f"{index}.png")
    found = audit(load_faces(tmp_path, shuffle=False))
    table = found.tables()[3]
    assert table.columns == ("image", "label", "suggested label")
    ((path, label, suggested),) = [
        row for row in table.rows if row[0].endswith("5.png") and Path(row[0]).name == "5.png"
    ]
    assert Path(path).is_file()
    assert suggested == labels[5] != label
    issue = next(issue for issue in found.to_dict()["label_issues"] if issue["image"] == path)
    assert issue["suggested"] == suggested


def test_checks_without_enough_groups_are_not_measured(tmp_path):
    for index, (face, label) in enumerate(zip(*make_faces(8), strict=True)):  # fewer groups per class than folds
        (tmp_path / label).mkdir(exist_ok=True)
        Image.fromarray(face).save(tmp_path / label / f"{index}.png")
    found = audit(load_faces(tmp_path))
    assert found.shortcuts == {}
    table, _, shortcuts = found.tables()[:3]
    assert ("label issues", "not measured") in table.rows
    assert shortcuts.note.startswith("Not measured")
