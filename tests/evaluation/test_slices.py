"""Slices group faces by what is measured and by what a user says."""

import numpy as np
import pytest
from PIL import Image

from maskkit import evaluate
from maskkit.testing import make_faces
from tests.evaluation.test_evaluation import Scripted, one_hot, render


def evaluate_all(images, said=None, **options):
    """Faces with masks, judged as told; by default rightly."""
    said = [0] * len(images) if said is None else said
    return evaluate(Scripted(one_hot(said)), images, ["with_mask"] * len(images), n_resamples=50, **options)


def count(evaluation, name):
    return {group.name: group.n_faces for group in evaluation.groups if group.slice == name}


def test_faces_are_grouped_by_their_longer_side():
    images = [np.zeros(shape, np.uint8) for shape in ((15, 10, 3), (10, 16, 3), (31, 31, 3), (40, 20, 3), (64, 64, 3))]
    sizes = {"<16 px": 1, "16-32 px": 2, "32-64 px": 1, "64+ px": 1}
    assert count(evaluate_all(images), "size") == sizes


def test_faces_are_grouped_by_brightness():
    images = [np.full((20, 20, 3), grey, np.uint8) for grey in (0, 84, 86, 169, 171, 255)]
    assert count(evaluate_all(images), "brightness") == {"dark <85": 2, "85-170": 2, "bright 170+": 2}


def test_faces_are_grouped_by_sharpness():
    sharp = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    images = [np.asarray(Image.fromarray(sharp).resize((side, side)).resize((64, 64))) for side in (4, 16, 64)]
    evaluation = evaluate_all(images, said=[1, 0, 0])
    assert count(evaluation, "sharpness") == {"blurred third": 1, "middle third": 1, "sharp third": 1}
    assert evaluation.metrics()["accuracy/sharpness/blurred third"].value == 0
    assert evaluation.metrics()["accuracy/sharpness/sharp third"].value == 1


def test_worst_group_is_named():
    images = make_faces(80)[0]
    evaluation = evaluate_all(images, said=[1] * 10 + [0] * 70, slices={"camera": ["door"] * 40 + ["phone"] * 40})
    assert (evaluation.worst_group.slice, evaluation.worst_group.name) == ("camera", "door")
    assert evaluation.metrics()["accuracy/camera/door"].value == pytest.approx(30 / 40)
    assert evaluation.metrics()["accuracy/camera/phone"].value == 1
    assert "Worst: camera door, accuracy 0.750." in render(evaluation)
    assert evaluation.to_dict()["worst_group"]["name"] == "door"


def test_few_faces_are_marked_and_never_the_worst():
    images = make_faces(59)[0]
    evaluation = evaluate_all(images, said=[1] * 29 + [1] + [0] * 29, slices={"camera": ["a"] * 29 + ["b"] * 30})
    assert evaluation.metrics()["accuracy/camera/a"].value == 0
    assert (evaluation.worst_group.slice, evaluation.worst_group.name) != ("camera", "a")
    assert not evaluation.worst_group.is_small
    text = render(evaluation)
    assert "a (!)" in text
    assert "b (!)" not in text
    assert "Fewer than 30 faces" in " ".join(text.split())


def test_no_group_is_the_worst_of_faces_all_right():
    assert evaluate_all(make_faces(40)[0]).worst_group is None


def test_column_that_cannot_be_used_is_named():
    images = make_faces(25)[0]
    for slices, message in (
        ({"camera": ["a"]}, r"slices\['camera'\] has 1 values for 25 faces; want one per face"),
        ({"size": ["a"] * 25}, r"slices\['size'\] is a built-in slice"),
        ({"age": range(25)}, r"slices\['age'\] has 25 groups; want at most 20"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate_all(images, slices=slices)


def test_columns_follow_faces_that_are_left_out():
    images = make_faces(4)[0]
    truths = ["mask_weared_incorrect", "with_mask", "with_mask", "mask_weared_incorrect"]
    model = Scripted(one_hot([0, 1]))
    evaluation = evaluate(model, images, truths, slices={"camera": ["a", "a", "b", "b"]}, n_resamples=10)
    assert count(evaluation, "camera") == {"a": 1, "b": 1}
    assert evaluation.metrics()["accuracy/camera/a"].value == 1
    assert evaluation.metrics()["accuracy/camera/b"].value == 0
