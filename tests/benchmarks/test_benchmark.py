"""Parts of the benchmark: turns, ratios, goals and peers."""

import io
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from benchmarks.peers.children import peak_bytes, run_fresh
from benchmarks.peers.crossval import _fit_and_cross_validate
from benchmarks.peers.onnx_peer import OnePhotoAtATime
from benchmarks.peers.results import Benchmark, Goal, Parity, Row
from benchmarks.peers.rows import measure
from benchmarks.peers.subjects import Faces, Network, Sizes, Subjects, mix_classes
from benchmarks.peers.timing import Spread, divide, split_rounds, take_turns
from benchmarks.peers.torch_peer import compute_in_torch, plain_copy, train_in_skorch
from benchmarks.peers.training import measure_training
from maskkit import MaskClassifier
from maskkit.testing import TinyBackbone

MACHINE = {"processor": "abacus", "n_cores": 2, "instructions": [], "load_average": None, "versions": {"python": "3"}}


def test_tasks_take_turns_in_alternating_order():
    done = []
    works = {"a": lambda number: done.append(("a", number)), "b": lambda number: done.append(("b", number))}
    turns = take_turns(works, 3, report=lambda _: None, title="")
    assert done == [("a", 0), ("b", 0), ("b", 1), ("a", 1), ("a", 2), ("b", 2)]
    assert [len(turn) for turn in turns.values()] == [3, 3]


def test_ratios_are_taken_within_rounds():
    assert divide([10, 30, 8], [1, 2, 4]) == Spread(10, 2, 15, 3)


def test_every_item_is_in_one_round():
    parts = split_rounds(list(range(8)), 3)
    assert sorted(item for part in parts for item in part) == list(range(8))
    assert {len(part) for part in parts} == {2, 3}
    with pytest.raises(ValueError, match="2 images for 3 rounds; want at least one per round"):
        split_rounds([1, 2], 3)


def test_first_faces_are_balanced(tmp_path):
    faces = Faces([tmp_path / str(number) for number in range(6)], np.array(["b", "b", "b", "a", "a", "b"]))
    mixed = mix_classes(faces)
    assert mixed.labels.tolist() == ["b", "a", "b", "a", "b", "b"]
    assert [path.name for path in mixed.paths] == ["0", "3", "1", "4", "2", "5"]


@pytest.mark.parametrize(
    ("limit", "is_floor", "ratio", "met"),
    [(2, True, 2, True), (2, True, 1.9, False), (1.3, False, 1.3, True), (1.3, False, math.inf, False)],
)
def test_goals_are_lower_or_upper_limits(limit, is_floor, ratio, met):
    assert Goal(limit, is_floor=is_floor).is_met(ratio) is met


def test_unreached_goals_are_shown_and_valid_json():
    row = Row("accuracy", "w" * 60, "p" * 30, Spread.of([math.inf, 0.5, math.inf]), Goal(0.2, is_floor=False), 1234)
    result = Benchmark(MACHINE, {}, (row,), (Parity("openvino", "int8", 0, note="int8 is not available"),))
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["rows"][0]["ratio"] is None
    text = io.StringIO()
    Console(file=text, width=80).print(result)
    assert "never" in text.getvalue()
    assert "int8 is not available" in " ".join(text.getvalue().split())
    assert max(map(len, text.getvalue().splitlines())) <= 80


def test_new_process_has_a_peak_memory_of_its_own():
    kept = np.ones(10**7)  # 80 MB, which Linux counts in the maxrss of processes that are started now
    assert run_fresh(peak_bytes) < peak_bytes() - kept.nbytes / 2
    with pytest.raises(RuntimeError, match="split_rounds failed in a new process"):
        run_fresh(split_rounds, [], 1)


def test_time_to_the_peers_accuracy(face_paths, tmp_path):
    pytest.importorskip("skorch")
    paths, labels = face_paths
    sizes = Sizes(24, 10, None, (2, 4), (2, 4), (1, 2), 2)
    faces = Faces(paths, labels)
    network = Network("tiny", TinyBackbone(), "imagenet")
    messages = []
    subjects = Subjects(faces, [], faces[24:], (network,), MaskClassifier(), sizes, tmp_path, messages.append)
    (row,) = measure_training(subjects, ["accuracy"])
    assert row.family == "accuracy"
    assert row.ratio.value > 0
    assert row.note.count("reached with") == 2
    assert any("every layer for 1 epochs" in text for text in messages)
    # The row is left out for random weights.
    blank = Network("tiny", TinyBackbone(), None)
    assert measure_training(replace(subjects, networks=(blank,)), ["accuracy"]) == []


def test_fit_and_folds_are_timed(face_paths):
    network = Network("tiny", TinyBackbone(), None)
    once, folds = _fit_and_cross_validate(network, {"fine_tune": False, "augment": None}, Faces(*face_paths))
    assert once > 0
    assert folds > 0


def test_skorch_peer_learns_and_seeds_only_itself(face_paths):
    pytest.importorskip("skorch")
    paths, labels = face_paths
    network = Network("tiny", TinyBackbone(), None)
    before = torch.random.get_rng_state()
    first, again = (train_in_skorch(network, paths, labels, seed=1) for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), before)
    logits = compute_in_torch(first, paths, network.backbone)
    np.testing.assert_array_equal(logits, compute_in_torch(again, paths, network.backbone))
    assert logits.shape == (len(paths), 2)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        untrained = network.backbone.build(None)
    # Every layer is trained, including the backbone.
    assert not any(torch.equal(*pair) for pair in zip(first[0].parameters(), untrained.parameters(), strict=True))


def test_torch_peer_agrees_with_predict(face_paths):
    paths, labels = face_paths
    model = MaskClassifier(
        TinyBackbone(), weights=None, fine_tune=False, find_face=False, precision="float32", random_state=0
    ).fit(paths, labels)
    features = compute_in_torch(plain_copy(model.embedder_.network_), paths, TinyBackbone())
    np.testing.assert_allclose(model.head_.predict_proba(features), model.predict_proba(paths), atol=1e-4)


def test_onnx_peer_detects_and_classifies_the_same_faces(tmp_path):
    pytest.importorskip("onnxruntime")
    data = pytest.importorskip("skimage.data")
    portrait = Image.fromarray(data.astronaut())
    portrait.save(tmp_path / "portrait.png")
    Image.new("RGB", (300, 200), "gray").save(tmp_path / "wall.png")
    model = MaskClassifier.from_pretrained()
    peer = OnePhotoAtATime(model, tmp_path)
    assert peer.read(tmp_path / "portrait.png") == [face.label for face in model.predict_faces(portrait)] != []
    assert peer.read(tmp_path / "wall.png") == []


@pytest.mark.parametrize(("load", "expected"), [(3.0, True), (0.1, False), (None, False)])
def test_busy_machine_is_reported(load, expected, face_paths, monkeypatch):
    monkeypatch.setattr("benchmarks.peers.rows.describe_machine", lambda: MACHINE | {"load_average": load})
    result = next(
        measure(MaskClassifier(), *face_paths, rows=["predict"], backbones=["timm:test_resnet"], weights=None)
    )
    assert any("not reliable" in note for note in result.notes) is expected


def test_unknown_rows_and_missing_photos_raise(face_paths):
    with pytest.raises(ValueError, match=r"unknown rows: 'beauty'; choose from fit"):
        next(measure(MaskClassifier(), *face_paths, rows=["beauty"]))
    with pytest.raises(ValueError, match="photos needs annotated photos"):
        next(measure(MaskClassifier(), *face_paths, rows=["photos"]))
