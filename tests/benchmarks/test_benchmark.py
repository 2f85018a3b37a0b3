"""The parts of the benchmark: turns, ratios, goals and peers."""

import io
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from benchmarks.peers import Benchmark, Parity, Row, Sizes, Spread, measure
from benchmarks.peers.children import peak_bytes, run_fresh
from benchmarks.peers.crossval import _fit_and_cross_validate
from benchmarks.peers.onnx_peer import OnePhotoAtATime
from benchmarks.peers.results import Goal
from benchmarks.peers.subjects import Faces, Network, Subjects, mix_classes
from benchmarks.peers.timing import deal, divide, take_turns
from benchmarks.peers.torch_peer import compute_in_torch, plain_copy, train_in_skorch
from benchmarks.peers.training import measure_training
from maskkit import MaskClassifier
from maskkit.testing import TinyBackbone

MACHINE = {"processor": "abacus", "n_cores": 2, "instructions": [], "load_average": None, "versions": {"python": "3"}}


def test_works_take_turns_and_the_first_is_not_always_first():
    done = []
    works = {"a": lambda number: done.append(("a", number)), "b": lambda number: done.append(("b", number))}
    turns = take_turns(works, 3, say=lambda _: None, title="")
    assert done == [("a", 0), ("b", 0), ("b", 1), ("a", 1), ("a", 2), ("b", 2)]
    assert [len(turn) for turn in turns.values()] == [3, 3]


def test_ratios_are_taken_within_rounds():
    assert divide([10, 30, 8], [1, 2, 4]) == Spread(10, 2, 15, 3)


def test_every_item_is_dealt_out_once():
    parts = deal(list(range(8)), 3)
    assert sorted(item for part in parts for item in part) == list(range(8))
    assert {len(part) for part in parts} == {2, 3}
    with pytest.raises(ValueError, match="2 images for 3 rounds; want at least one a round"):
        deal([1, 2], 3)


def test_the_first_faces_hold_every_class(tmp_path):
    faces = Faces([tmp_path / str(number) for number in range(6)], np.array(["b", "b", "b", "a", "a", "b"]))
    mixed = mix_classes(faces)
    assert mixed.labels.tolist() == ["b", "a", "b", "a", "b", "b"]
    assert [path.name for path in mixed.paths] == ["0", "3", "1", "4", "2", "5"]


@pytest.mark.parametrize(
    ("limit", "is_floor", "ratio", "met"),
    [(2, True, 2, True), (2, True, 1.9, False), (1.3, False, 1.3, True), (1.3, False, math.inf, False)],
)
def test_goals_are_floors_or_ceilings(limit, is_floor, ratio, met):
    assert Goal(limit, is_floor=is_floor).is_met(ratio) is met


def test_what_was_never_reached_says_so_and_stays_json():
    row = Row("accuracy", "w" * 60, "p" * 30, Spread.of([math.inf, 0.5, math.inf]), Goal(0.2, is_floor=False), 1234)
    result = Benchmark(MACHINE, {}, (row,), (Parity("openvino", "int8", 0, note="there is no int8 of it"),))
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["rows"][0]["ratio"] is None
    text = io.StringIO()
    Console(file=text, width=80).print(result)
    assert "never" in text.getvalue()
    assert "there is no int8 of it" in " ".join(text.getvalue().split())
    assert max(map(len, text.getvalue().splitlines())) <= 80


def test_a_process_of_its_own_has_its_own_peak_of_memory():
    kept = np.ones(10**8)  # 800 MB, which Linux counts in the maxrss of what is started now
    assert run_fresh(peak_bytes) < peak_bytes() - kept.nbytes / 2
    with pytest.raises(RuntimeError, match="deal failed in a process of its own"):
        run_fresh(deal, [], 1)


def test_time_to_the_peers_accuracy(face_paths, tmp_path):
    pytest.importorskip("skorch")
    paths, labels = face_paths
    sizes = Sizes(24, 10, None, (2, 4), (2, 4), (1, 2), 2)
    faces = Faces(paths, labels)
    network = Network("tiny", TinyBackbone(), "imagenet")
    told = []
    subjects = Subjects(faces, [], faces[24:], (network,), MaskClassifier(), sizes, tmp_path, told.append)
    (row,) = measure_training(subjects, ["accuracy"])
    assert row.family == "accuracy"
    assert row.ratio.value > 0
    assert row.note.count("reached with") == 2
    assert any("every layer for 1 epochs" in text for text in told)
    # Random weights learn nothing that could be reached.
    blank = Network("tiny", TinyBackbone(), None)
    assert measure_training(replace(subjects, networks=(blank,)), ["accuracy"]) == []


def test_a_fit_and_its_folds_are_timed(face_paths):
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
    # Every layer, the backbone's too.
    assert not any(torch.equal(*pair) for pair in zip(first[0].parameters(), untrained.parameters(), strict=True))


def test_plain_torch_gives_what_predict_gives(face_paths):
    paths, labels = face_paths
    model = MaskClassifier(
        TinyBackbone(), weights=None, fine_tune=False, find_face=False, precision="float32", random_state=0
    ).fit(paths, labels)
    features = compute_in_torch(plain_copy(model.embedder_.network_), paths, TinyBackbone())
    np.testing.assert_allclose(model.head_.predict_proba(features), model.predict_proba(paths), atol=1e-4)


def test_onnx_peer_finds_and_judges_the_same_faces(tmp_path):
    pytest.importorskip("onnxruntime")
    data = pytest.importorskip("skimage.data")
    portrait = Image.fromarray(data.astronaut())
    portrait.save(tmp_path / "portrait.png")
    Image.new("RGB", (300, 200), "grey").save(tmp_path / "wall.png")
    model = MaskClassifier.from_pretrained()
    peer = OnePhotoAtATime(model, tmp_path)
    assert peer.read(tmp_path / "portrait.png") == [face.label for face in model.predict_faces(portrait)] != []
    assert peer.read(tmp_path / "wall.png") == []


@pytest.mark.parametrize(("load", "said"), [(3.0, True), (0.1, False), (None, False)])
def test_a_busy_machine_is_told(load, said, face_paths, monkeypatch):
    monkeypatch.setattr("benchmarks.peers.rows.describe_machine", lambda: MACHINE | {"load_average": load})
    result = next(
        measure(MaskClassifier(), *face_paths, rows=["predict"], backbones=["timm:test_resnet"], weights=None)
    )
    assert any("do not trust" in note for note in result.notes) is said


def test_unknown_rows_and_missing_photos_are_refused(face_paths):
    with pytest.raises(ValueError, match=r"no row 'beauty'; there are fit"):
        next(measure(MaskClassifier(), *face_paths, rows=["beauty"]))
    with pytest.raises(ValueError, match="photos needs annotated photos"):
        next(measure(MaskClassifier(), *face_paths, rows=["photos"]))
