"""Models go to the Hugging Face Hub and come back, shown on a small server that answers as the Hub does."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import pytest
import yaml

from maskkit import MaskClassifier, evaluate
from maskkit._files.hub import push_model
from maskkit.exceptions import ModelFileError
from maskkit.testing import make_faces
from tests.cli.conftest import run
from tests.conftest import make_classifier

COMMIT = "1" * 40
REPO = "somebody/door"


class Hub(BaseHTTPRequestHandler):
    """Keeps the files of one repository; each commit replaces all of them."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append(self.path)
        if self.path == "/api/repos/create":
            self.server.created.append(json.loads(body))
            self.answer({"url": f"http://{self.headers['Host']}/{REPO}", "name": REPO})
        elif "/preupload/" in self.path:
            names = [file["path"] for file in json.loads(body)["files"]]
            self.answer({"files": [{"path": n, "uploadMode": "regular", "shouldIgnore": False} for n in names]})
        elif "/commit/" in self.path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.server.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            self.answer(
                {
                    "commitUrl": f"http://{self.headers['Host']}/{REPO}/commit/{COMMIT}",
                    "commitOid": COMMIT,
                    "success": True,
                }
            )
        else:
            self.answer({})

    def do_GET(self):
        self.server.asked.append(self.path)
        if self.path.startswith((f"/api/models/{REPO}/tree/", f"/api/datasets/{REPO}/tree/")):
            self.answer([self.describe(name) for name in self.server.files])
        elif self.path.startswith(f"/api/datasets/{REPO}"):
            self.answer(self.describe_data())
        elif self.path.startswith(f"/api/models/{REPO}"):
            siblings = [{"rfilename": name} for name in self.server.files]
            self.answer({"id": REPO, "sha": COMMIT, "siblings": siblings, "private": True, "tags": []})
        elif "/resolve/" in self.path and (
            content := self.server.files.get(unquote(self.path.rpartition(f"/{COMMIT}/")[2]))
        ):
            self.send_response(200)
            self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)
        else:
            self.send_error(404)

    do_HEAD = do_GET  # noqa: N815 - the name that http.server calls

    def describe(self, name):
        content = self.server.files[name]
        return {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}

    def describe_data(self):
        siblings = [
            {"rfilename": name, "size": len(content), **self.server.sums.get(name, sum_of(name, content))}
            for name, content in self.server.files.items()
        ]
        card = {"license": "cc0-1.0"} if self.server.is_licensed else None
        return {"id": REPO, "sha": COMMIT, "siblings": siblings, "private": False, "tags": [], "cardData": card}

    def answer(self, document):
        content = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *arguments):
        pass


def sum_of(name, content):
    """Return the checksum of a file: of large files, of which the table is one, their SHA-256."""
    blob = {"blobId": hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()}
    large = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
    return blob | ({"lfs": large} if name.endswith(".csv") else {})


@pytest.fixture
def hub(tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.files, server.created, server.asked = {}, [], []
    server.sums, server.is_licensed = {}, True
    server.environment = {
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "HF_HOME": str(tmp_path / "hugging-face"),
        "HF_TOKEN": "a-token-for-tests",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def model():
    settings = {"backbone": "timm:test_resnet", "image_size": 48, "detector": "whole", "device": "cpu"}
    return make_classifier(**settings).fit(*make_faces(20, random_state=0))


COME_BACK = """
import sys
from maskkit import MaskClassifier
from maskkit.testing import make_faces
loaded = MaskClassifier.from_hub(sys.argv[1], threshold=0.7)
print(loaded.model_name_, loaded.threshold, loaded.predict_proba(make_faces(4)[0]).round(6).tolist())
"""


def start(*command, environment, answer=""):
    environment = {**os.environ, **environment}
    done = subprocess.run([sys.executable, *command], env=environment, input=answer, capture_output=True, text=True)
    return done.returncode, done.stdout.strip(), done.stderr.strip()


def test_a_model_goes_to_the_hub_and_comes_back(hub, model, tmp_path):
    folder = model.save(tmp_path / "model")
    (folder / "notes.txt").write_text("private")
    status, address, errors = start("-m", "maskkit", "push", str(folder), REPO, environment=hub.environment)
    assert (status, address, errors) == (0, f"{hub.environment['HF_ENDPOINT']}/{REPO}", "")
    assert hub.created[0].get("private") or hub.created[0]["visibility"] == "private"
    assert set(hub.files) == {"maskkit.json", "model.safetensors", "README.md"}
    hub.files["setup.py"] = b"raise SystemExit('executed')"
    wanted = f"{REPO} 0.7 {model.predict_proba(make_faces(4)[0]).round(6).tolist()}"
    assert start("-c", COME_BACK, REPO, environment=hub.environment) == (0, wanted, "")
    assert not any("setup.py" in path for path in hub.asked)
    # The copy in the cache is enough, and no server is asked.
    hub.asked.clear()
    assert start("-c", COME_BACK, REPO, environment={**hub.environment, "MASKKIT_OFFLINE": "1"}) == (0, wanted, "")
    assert hub.asked == []
    hub.files["model.safetensors"] = hub.files["model.safetensors"][:-1] + b"?"
    changed = {**hub.environment, "HF_HOME": str(tmp_path / "another")}
    status, _, errors = start(
        "-m", "maskkit", "demo", "--out", str(tmp_path / "demo.png"), "--model", f"hub:{REPO}", environment=changed
    )
    assert status == 1
    assert "model.safetensors: is damaged or was changed" in errors


def test_what_cannot_be_uploaded_or_downloaded_is_named(model, tmp_path, capsys, monkeypatch):
    folder = model.save(tmp_path / "model")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("MASKKIT_OFFLINE", "1")
    with pytest.raises(ModelFileError, match=r"cannot be read from the Hub \(.*\); unset MASKKIT_OFFLINE"):
        MaskClassifier.from_hub(REPO)
    assert "because MASKKIT_OFFLINE is set" in run(capsys, "push", folder, REPO)[2]
    monkeypatch.delenv("MASKKIT_OFFLINE")
    with pytest.raises(ModelFileError, match=r"three/parts/name cannot be read from the Hub .* check the name"):
        MaskClassifier.from_hub("three/parts/name")
    (folder / "model.safetensors").write_bytes(b"cut off")
    with pytest.raises(ModelFileError, match="is damaged or was changed"):
        push_model(folder, REPO, private=True)
    with pytest.raises(ModelFileError, match="is not a maskkit model"):
        push_model(tmp_path / "missing", REPO, private=True)


def test_the_card_begins_with_what_the_hub_reads(model, tmp_path):
    evaluation = evaluate(model, *make_faces(12), n_resamples=20)
    card = (model.save(tmp_path / "a: b", evaluation={"door: March": evaluation}) / "README.md").read_text()
    _, header, text = card.split("---\n", 2)
    metadata = yaml.safe_load(header)
    assert metadata["library_name"] == "maskkit"
    assert metadata["pipeline_tag"] == "image-classification"
    (entry,) = metadata["model-index"]
    (result,) = entry["results"]
    assert result["dataset"]["name"] == "door: March"
    assert result["metrics"][0] == {"type": "accuracy", "value": evaluation.estimates["accuracy"].value}
    assert text.startswith("\n# a: b\n")
    assert "model-index" not in (model.save(tmp_path / "plain") / "README.md").read_text()


def test_a_data_set_is_downloaded_after_its_license_was_shown(hub, tmp_path):
    hub.files |= {"train/with_mask/[1].png": b"picture", "labels.csv": b"path,label\n"}
    hub.files |= {"load.py": b"1/0", "../up.csv": b""}
    folder = tmp_path / "faces"
    command = ("-m", "maskkit", "data", "download", REPO, "--out", str(folder))
    status, _, shown = start(*command, environment=hub.environment, answer="n\n")
    assert status == 1
    assert not folder.exists()
    assert f"/datasets/{REPO}/tree/{COMMIT}" in shown
    assert "license  cc0-1.0\nfiles    2, 0.0 MB; 2 others are left out" in shown
    assert not any("/resolve/" in path for path in hub.asked)
    status, _, shown = start(*command, environment=hub.environment, answer="y\n")
    assert status == 0
    assert str(folder) in shown
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert {name for name in files if "hugging-face" not in name} == {
        "faces/labels.csv",
        "faces/train/with_mask/[1].png",
    }
    status, _, errors = start(*command, "--yes", environment=hub.environment)
    assert status == 1
    assert "exists" in errors


@pytest.mark.parametrize("name", ["labels.csv", "1.png"])
def test_a_file_of_another_checksum_is_removed(name, hub, tmp_path):
    hub.files |= {"labels.csv": b"path,label\n", "1.png": b"picture"}
    hub.sums[name] = sum_of(name, b"something else")
    hub.is_licensed = False
    command = ("-m", "maskkit", "data", "download", REPO, "--out", str(tmp_path / "faces"), "--yes")
    status, _, errors = start(*command, environment=hub.environment)
    assert status == 1
    assert f"{name} has another checksum than the Hub names" in errors
    assert "license  not named: ask its authors" in errors
    assert not (tmp_path / "faces").exists()
    hub.sums.clear()
    assert start(*command, environment=hub.environment)[0] == 0
    assert (tmp_path / "faces" / name).read_bytes() == hub.files[name]
    assert not list(tmp_path.glob(".faces*"))


def test_what_is_no_data_set_is_named(hub, tmp_path):
    hub.files["load.py"] = b"1/0"
    command = ("-m", "maskkit", "data", "download", REPO, "--out", str(tmp_path / "faces"))
    assert "none of its 1 files is a picture" in start(*command, environment=hub.environment)[2]
    offline = {**hub.environment, "MASKKIT_OFFLINE": "1"}
    assert "because MASKKIT_OFFLINE is set" in start(*command, environment=offline)[2]
    gone = {**hub.environment, "HF_ENDPOINT": "http://127.0.0.1:9"}
    assert f"{REPO} cannot be read from the Hub" in start(*command, environment=gone)[2]
