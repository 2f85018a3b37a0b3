"""What is promised to whoever runs maskkit on other people's pictures, beside other people's code."""

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskkit import MaskClassifier
from maskkit.testing import make_faces

ROOT = Path(__file__).parents[1]


def run(script, *arguments, **environment):
    """Run Python in a process of its own; give what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]), **environment},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


EVERYTHING = """
import sys

asked = []
def listen(event, arguments):
    # Not of the system itself: a socket of the family AF_UNIX leads to no other machine.
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.connect", "socket.sendto", "urllib.Request"):
        asked.append((event, repr(arguments)))
sys.addaudithook(listen)

import skimage.data
from sklearn.model_selection import cross_val_score
from maskkit import MaskClassifier, evaluate, explain, explain_faces
from maskkit.testing import make_faces

faces, labels = make_faces(24)
for fine_tune in (False, True):
    model = MaskClassifier("efficientnet_lite0", image_size=64, epochs=1, fine_tune=fine_tune, random_state=0)
    model.fit(faces, labels).predict(faces)
cross_val_score(model.set_params(fine_tune=False), faces, labels, cv=2)
shipped = MaskClassifier.from_pretrained()
for result in shipped.predict_photos([skimage.data.astronaut()] * 2):
    result.to_dict()
evaluate(shipped, faces, labels, n_resamples=20)
explain(shipped, faces[0])
explain_faces(shipped, skimage.data.astronaut())
MaskClassifier.load(shipped.save("model"))
print(asked)
"""


def test_nothing_is_asked_of_the_network_and_nothing_is_written_but_what_was_asked(tmp_path):
    home, cache = tmp_path / "home", tmp_path / "cache"
    home.mkdir()
    script = f"import os\nos.chdir({str(home)!r})\n{EVERYTHING}"
    asked = run(script, HOME=str(home), MASKKIT_CACHE=str(cache), TMPDIR=str(home), XDG_CACHE_HOME="", MPLCONFIGDIR="")
    assert asked.strip() == "[]"
    written = {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}
    # matplotlib keeps its list of fonts.
    written = {path for path in written if "matplotlib" not in path}
    assert written == {"model/maskkit.json", "model/model.safetensors", "model/README.md"}
    assert {path.suffix for path in cache.iterdir()} == {".blob"}


def test_the_audit_would_notice():
    script = EVERYTHING.partition("import skimage")[0] + (
        "import socket\n"
        "try:\n    socket.create_connection(('localhost', 9), timeout=1)\n"
        "except OSError:\n    pass\n"
        "print(asked)"
    )
    assert "socket.connect" in run(script)


def test_saved_pictures_carry_no_metadata(fitted, tmp_path):
    exif = Image.Exif()
    exif[0x010F] = "a camera of mine"
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 12.0)  # GPSLatitude
    photo = tmp_path / "photo.jpg"
    Image.fromarray(make_faces(1)[0][0]).save(photo, exif=exif, comment=b"in my kitchen")
    assert b"camera of mine" in photo.read_bytes()
    result = fitted.predict_faces(photo)
    for name in ("drawn.png", "drawn.jpg", "drawn.webp"):
        result.save(tmp_path / name)
        with Image.open(tmp_path / name) as saved:
            assert dict(saved.getexif()) == {}
        for secret in (b"camera of mine", b"kitchen", b"Exif", str(tmp_path).encode()):
            assert secret not in (tmp_path / name).read_bytes()


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_eight_threads_get_the_same_answers_as_one(engine, faces):
    model = MaskClassifier("efficientnet_lite0", image_size=64, engine=engine, cache=None, fine_tune=False)
    model.fit(*faces)
    wanted = model.predict_proba(faces[0])
    start = threading.Barrier(8)

    def predict(thread):
        start.wait()
        parts = np.roll(np.arange(len(wanted)), thread)
        return parts, model.predict_proba([faces[0][row] for row in parts])

    with ThreadPoolExecutor(8) as pool:
        for parts, proba in pool.map(predict, range(8)):
            np.testing.assert_allclose(proba, wanted[parts], atol=1e-6)


def test_eight_threads_read_photos(faces):
    model = MaskClassifier.from_pretrained()
    photos = [np.tile(face, (2, 2, 1)) for face in faces[0][:4]]
    start = threading.Barrier(8)

    def read(_):
        start.wait()
        return [[face.to_dict() for face in result] for result in model.predict_photos(photos)]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(read, range(8)))
    assert answers[1:] == answers[:-1]


CHILD = """
import multiprocessing, sys
import numpy as np
from maskkit import MaskClassifier
from maskkit.testing import make_faces

faces, labels = make_faces(12)

def predict(model, answers):
    answers.put(model.predict_proba(faces))
    model.fit(faces, labels)
    answers.put(len(model.predict_faces(np.tile(faces[0], (4, 4, 1)))))

if __name__ == "__main__":
    engine, method = sys.argv[1:]
    model = MaskClassifier("efficientnet_lite0", image_size=64, engine=engine, epochs=1, fine_tune=False)
    model.fit(faces, labels)
    wanted = model.predict_proba(faces)
    model.predict_faces(faces[0])
    context = multiprocessing.get_context(method)
    answers = context.Queue()
    child = context.Process(target=predict, args=(model, answers))
    child.start()
    np.testing.assert_allclose(answers.get(timeout=100), wanted, atol=1e-6)
    answers.get(timeout=100)
    child.join()
    print(child.exitcode)
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_processes_started_by_one_that_has_computed(engine, method, tmp_path):
    if not hasattr(os, method) and method == "fork":
        pytest.skip("this system cannot fork")
    file = tmp_path / "child.py"  # spawned processes import it
    file.write_text(CHILD)
    assert (
        run(
            f"import runpy, sys\nsys.argv[0] = {str(file)!r}\nrunpy.run_path(sys.argv[0], run_name='__main__')",
            engine,
            method,
        ).strip()
        == "0"
    )


START = """
import gc, os, subprocess, sys
from maskkit import MaskClassifier
from maskkit.testing import make_faces

model = MaskClassifier.from_pretrained()
model.predict_faces(make_faces(1)[0][0])
print(subprocess.run(["true"], preexec_fn=os.getpid, timeout=60).returncode)
child = os.fork()
if child == 0:
    del model
    gc.collect()
    sys.exit(3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_processes_that_run_something_else_start_and_end_after_photos():
    assert run(START).split() == ["0", "3"]


FIT = """
import hashlib, sys
from maskkit import MaskClassifier
from maskkit.testing import make_faces

faces, labels = make_faces(12)
for fine_tune in (False, True):
    model = MaskClassifier("timm:test_resnet", weights=None, image_size=48, fine_tune=fine_tune, epochs=2,
                           detector="whole", random_state=0, device="cpu").fit(faces, labels)
    network = {**model.embedder_.network_.state_dict(), **model.head_.network_.state_dict()}
    print(hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in network.values())).hexdigest())
"""


def test_fit_is_the_same_in_every_process_whatever_the_hash_seed():
    weights = [run(FIT, PYTHONHASHSEED=seed).split() for seed in ("0", "1", "4242")]
    assert len(weights[0]) == 2
    assert weights[0] == weights[1] == weights[2]


def test_nobody_is_drawn_or_cut_out_unasked(fitted, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = fitted.predict_faces(make_faces(1)[0][0])
    result.summary(), json.dumps(result.to_dict()), repr(result)
    assert list(tmp_path.iterdir()) == []
