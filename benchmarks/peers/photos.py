"""Rows of `predict_photos`, compared with one photo at a time and with the detector alone."""

import numpy as np

from benchmarks.peers.onnx_peer import OnePhotoAtATime
from benchmarks.peers.results import Goal, Row
from benchmarks.peers.subjects import Subjects
from benchmarks.peers.timing import divide, seconds_of, split_rounds, take_turns
from maskkit._images.load import load_image

PEER, DETECTOR, WORK = "ONNX Runtime, one by one", "detector alone, arrays", "predict_photos"

# Twenty photos per second where the detector alone reaches 35.
_GOALS = {PEER: Goal(3, is_floor=True), DETECTOR: Goal(20 / 35, is_floor=True)}


def measure_photos(subjects: Subjects) -> list[Row]:
    """Measure the model on the photos; each side reads each photo once."""
    model, sizes = subjects.model, subjects.sizes
    parts = split_rounds([photo.path for photo in subjects.photos], sizes.n_rounds)
    images = [[load_image(path) for path in part] for part in parts]
    peer = OnePhotoAtATime(model, subjects.folder)
    # The first calls initialize libraries and are not timed.
    peer.read(parts[0][0])
    list(model.predict_photos(parts[0][:1]))
    turns = take_turns(
        {
            PEER: lambda number: sum(len(peer.read(path)) for path in parts[number]),
            WORK: lambda number: sum(map(len, model.predict_photos(parts[number]))),
            DETECTOR: lambda number: sum(len(model.detector_.detect(image)) for image in images[number]),
        },
        sizes.n_rounds,
        report=subjects.report,
        title="photos",
    )
    n_photos = sum(map(len, parts))
    n_faces = {name: sum(turn.value for turn in taken) for name, taken in turns.items()}
    note = f"Detected faces: {n_faces[WORK]:,}, by the peer {n_faces[PEER]:,}."
    rows = []
    for name, goal in _GOALS.items():
        peer_s, ours_s = seconds_of(turns[name]), seconds_of(turns[WORK])
        seconds = float(np.sum(ours_s)), float(np.sum(peer_s))
        rows.append(Row("photos", WORK, name, divide(peer_s, ours_s), goal, n_photos, *seconds, note))
    return rows
