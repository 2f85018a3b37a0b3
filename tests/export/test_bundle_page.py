"""The page of a bundle in Chromium, with onnxruntime-web: it decides as maskkit_bundle.py, and sends nothing."""

import base64
import functools
import http.server
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.export.conftest import load_runtime

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install 'maskkit[test]'")
expect = sync_api.expect

ORT_FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")


@pytest.fixture(scope="module")
def ort_web(tmp_path_factory, bundle_dir):
    """The folder of the two files of onnxruntime-web: of MASKKIT_ORT_WEB, else from npm, as README.md says."""
    if folder := os.environ.get("MASKKIT_ORT_WEB"):
        return Path(folder)
    if shutil.which("npm") is None:
        pytest.skip("no onnxruntime-web: MASKKIT_ORT_WEB is not set to its folder dist, and npm is not installed")
    package = re.search(r"npm pack (\S+)", (bundle_dir / "README.md").read_text())[1]
    folder = tmp_path_factory.mktemp("ort")
    done = subprocess.run(
        ["npm", "pack", "--prefer-offline", "--fetch-retries=0", package], cwd=folder, capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"no onnxruntime-web: MASKKIT_ORT_WEB is not set, and npm cannot fetch it: {done.stderr[-200:]}")
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        for name in ORT_FILES:
            (folder / name).write_bytes(archive.extractfile(f"package/dist/{name}").read())
    return folder


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@contextmanager
def opened(browser, folder, *, is_ready=True):
    """Serve a folder and open its page; check at the end that no other host was requested and no script failed."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/"
    asked, failed = [], []
    try:
        with browser.new_context() as context:
            context.on("request", lambda request: asked.append(request.url))
            page = context.new_page()
            page.on("pageerror", lambda error: failed.append(str(error)))
            page.goto(url)
            if is_ready:
                expect(page.locator("#model")).to_contain_text("Model: maskkit-lite0, detector: maskkit.")
            yield page
    finally:
        server.shutdown()
        server.server_close()
    assert failed == []
    assert [address for address in asked if not address.startswith((url, "blob:"))] == []


@pytest.fixture(scope="module")
def site(bundle_dir, ort_web, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site") / "bundle"
    shutil.copytree(bundle_dir, folder)
    (folder / "ort").mkdir()
    for name in ORT_FILES:
        shutil.copy(ort_web / name, folder / "ort")
    return folder


@pytest.fixture(scope="module")
def page(browser, site):
    with opened(browser, site) as page:
        yield page


@pytest.fixture(scope="module")
def bundle(bundle_dir):
    return load_runtime(bundle_dir).Bundle(bundle_dir)


def analyze(page, name, content):
    """Return the faces that the page finds in an image file."""
    page.set_input_files("#file", {"name": name, "mimeType": "image/*", "buffer": content})
    expect(page.locator("#json")).to_contain_text(f'"source": "{name}"', timeout=60_000)
    expect(page.locator("body")).to_have_attribute("data-state", re.compile("ready|none"))
    return json.loads(page.locator("#json").text_content())["photos"][0]["faces"]


def compare(page, bundle, name, content, atol):
    """Compare the faces that the page finds with those of maskkit_bundle.py; return their number."""
    faces, expected = analyze(page, name, content), bundle.predict_faces(content)
    for key in ("box", "label", "decision", "reasons", "nose_and_mouth_covered", "size_px"):
        assert [face[key] for face in faces] == [face[key] for face in expected], (name, key)
    for number, (face, other) in enumerate(zip(faces, expected, strict=True), 1):
        assert face.pop("face") == number
        assert list(face) == list(other)
        assert face["detection_score"] == pytest.approx(other["detection_score"], abs=atol)
        assert face["probabilities"] == pytest.approx(other["probabilities"], abs=atol)
        np.testing.assert_allclose(face["landmarks"], other["landmarks"], atol=0.11)
    return len(faces)


def encode(image, form, **options):
    file = io.BytesIO()
    Image.fromarray(image).save(file, form, **options)
    return file.getvalue()


def test_images_are_resized_to_the_same_bytes_as_by_pillow(browser, bundle_dir):
    rng = np.random.default_rng(0)
    cases = []
    for index in range(40):
        height, width = (int(side) for side in rng.integers(1, 700 if index % 4 == 0 else 120, 2))
        size = tuple(int(side) for side in rng.integers(1, 90, 2))
        left, right = np.sort(rng.uniform(0, width, 2)).astype(np.float32).tolist()
        top, bottom = np.sort(rng.uniform(0, height, 2)).astype(np.float32).tolist()
        box = (left, top, right, bottom) if index % 2 else (0, 0, width, height)
        cases.append(
            (rng.integers(0, 256, (height, width, 3)).astype(np.uint8), size, box, (None, 3.0)[index % 4 // 2])
        )
    with opened(browser, bundle_dir, is_ready=False) as page:
        for image, size, box, gap in cases:
            resized = page.evaluate(
                """async ([data, width, height, size, box, gap]) => {
                    const { resize } = await import("/bundle.js");
                    const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
                    return [...resize({ data: bytes, width, height }, ...size, box, gap ?? undefined).data];
                }""",
                [base64.b64encode(image.tobytes()).decode(), image.shape[1], image.shape[0], size, box, gap],
            )
            picture = Image.fromarray(image).resize(size, Image.Resampling.BILINEAR, box=box, reducing_gap=gap)
            np.testing.assert_array_equal(resized, np.asarray(picture).ravel())


def test_faces_are_those_of_the_runtime(page, bundle, crowd, faint):
    half = np.asarray(Image.fromarray(crowd).resize((950, 400)))
    exif = Image.Exif()
    exif[0x0112] = 6
    transparent = np.dstack([half, np.tile(np.linspace(120, 255, 950).astype(np.uint8), (400, 1))])
    assert compare(page, bundle, "crowd.png", encode(crowd, "PNG"), 1e-4) >= 8
    assert compare(page, bundle, "turned.jpg", encode(np.rot90(half), "JPEG", exif=exif, quality=92), 0.02) >= 6
    compare(page, bundle, "transparent.png", encode(transparent, "PNG"), 0.05)
    assert compare(page, bundle, "small.png", encode(crowd[20:320, 880:965], "PNG"), 1e-4) == 1
    assert compare(page, bundle, "faint.png", encode(faint, "PNG"), 1e-4) == 1
    assert compare(page, bundle, "nothing.png", encode(np.zeros((40, 30, 3), np.uint8), "PNG"), 0) == 0
    expect(page.locator("#status")).to_have_text("No face found.")


def test_real_photos_have_the_faces_of_the_runtime(page, bundle, data_dir):
    photos = sorted((data_dir / "face-mask-photos" / "images").iterdir())[::70]
    assert sum(compare(page, bundle, photo.name, photo.read_bytes(), 0.02) for photo in photos) > 10


def test_reasons_keep_their_order_at_any_threshold(page):
    reasons = page.evaluate(
        """async () => {
            const { applyThreshold } = await import("/threshold.js");
            const reasons = ["too_small", "low_probability", "not_a_face"];
            const faces = [reasons, reasons.slice(1)].map((some) => ({ label: "a", probability: 0.5, reasons: some }));
            const join = (photo) => photo.faces.map((face) => face.reasons.join());
            return [0.9, 0.1].map((threshold) => join(applyThreshold({ faces }, threshold)));
        }"""
    )
    assert reasons == [
        ["too_small,low_probability,not_a_face", "low_probability,not_a_face"],
        ["too_small,not_a_face", "not_a_face"],
    ]


def test_guide_has_the_commands_of_the_bundle(bundle_dir):
    commands = re.findall(r"^```console\n(.+?)^```", (bundle_dir / "README.md").read_text(), re.DOTALL | re.MULTILINE)[
        1
    ]
    guide = (Path(__file__).parents[2] / "docs" / "guides" / "bundle.md").read_text()
    assert commands.replace(" -C ort ", " -C bundle/ort ").replace("mkdir ort", "mkdir bundle/ort") in guide


def test_what_is_no_image_is_reported_and_the_camera_runs(page):
    page.set_input_files("#file", {"name": "notes.png", "mimeType": "image/png", "buffer": b"no image"})
    expect(page.locator("#error")).to_contain_text("notes.png cannot be read as an image. Choose a JPEG, PNG or WebP")
    page.get_by_role("button", name="Use camera").click()
    expect(page.locator("#json")).to_contain_text('"source": "camera"')
    page.get_by_role("button", name="Stop camera").click()
    expect(page.get_by_role("button", name="Use camera")).to_be_visible()


def test_neither_the_page_nor_its_worker_can_send_anything_elsewhere(page, browser, site):
    fetch = "(url) => fetch(url, { mode: 'no-cors' }).then(() => 'sent', (error) => error.name)"
    with opened(browser, site, is_ready=False) as other:
        url = other.url
        (worker,) = page.workers
        assert [place.evaluate(fetch, url) for place in (page, worker)] == ["TypeError", "TypeError"]
        assert other.evaluate(fetch, url) == "sent"


def test_page_says_what_it_lacks(browser, bundle_dir, tmp_path):
    with opened(browser, bundle_dir, is_ready=False) as page:
        expect(page.locator("#error")).to_have_text(
            "This folder lacks ort/ort.wasm.bundle.min.mjs and ort/ort-wasm-simd-threaded.wasm. README.md shows the "
            "two commands that put onnxruntime-web there."
        )
    with browser.new_page() as page:
        page.goto((bundle_dir / "index.html").as_uri())
        expect(page.locator("#error")).to_contain_text("run python -m http.server --bind 127.0.0.1 and open")
        assert page.locator("body").get_attribute("data-state") == "empty"
