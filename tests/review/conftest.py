"""Drawn faces in folders, and the server of a review on a free port."""

import socket
import threading
from contextlib import contextmanager

import httpx2
import pytest
from PIL import Image

from maskkit.review import LabelFile, Teacher, create_app, list_crops, match_answers, order_faces
from maskkit.testing import make_faces
from maskkit.web import make_server
from tests.conftest import make_classifier

TOKEN = "a-secret-of-the-test"
CLASSES = ["with_mask", "without_mask"]


def draw_crops(folder, n_faces=40, classes=("with_mask", "without_mask")):
    """Write drawn faces to a folder; return their paths and labels."""
    folder.mkdir(parents=True, exist_ok=True)
    images, labels = make_faces(n_faces, classes=classes)
    paths = [folder / f"{index}.png" for index in range(n_faces)]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    return paths, labels.tolist()


def make_queue(paths, labels, classifier, answered=()):
    return order_faces(match_answers(list_crops(paths, labels), answered), classifier.predictor_)


@pytest.fixture(scope="session")
def taught():
    """A classifier of drawn faces that can be trained further, and is sometimes wrong. Do not refit it."""
    return make_classifier().fit(*make_faces(12, random_state=9))


@contextmanager
def serving(app):
    """Run the server of an application; yield its address."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=64)
    started = threading.Event()
    server = make_server(app, seconds=30, on_start=started.set)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    assert started.wait(60)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join(60)


@contextmanager
def reviewing(folder, classifier, n_faces=40, **options):
    """Serve a review of drawn crops; yield its address and its file of answers."""
    paths, labels = draw_crops(folder / "crops", n_faces)
    labels_file = LabelFile(folder / "labels.csv", has_boxes=False)
    queue = make_queue(paths, labels, classifier, labels_file.read())
    app = create_app(queue, labels_file, Teacher(classifier, labels_file), classes=CLASSES, token=TOKEN, **options)
    with serving(app) as url:
        yield url, labels_file


@pytest.fixture
def client(tmp_path, taught):
    with (
        reviewing(tmp_path, taught) as (url, labels_file),
        httpx2.Client(
            base_url=url, timeout=60, trust_env=False, headers={"Authorization": f"Bearer {TOKEN}"}
        ) as client,
    ):
        client.labels_file = labels_file
        yield client
