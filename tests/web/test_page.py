"""The page in Chromium: images, camera, errors, keyboard, and no requests to other hosts."""

import io
import json
from contextlib import contextmanager

import httpx2
import numpy as np
import pytest
from PIL import Image

from maskkit.web import Limits
from tests.web.conftest import GatedDetector, as_png, serving, with_detector

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install 'maskkit[test]'")
expect = sync_api.expect
expect.set_options(timeout=30_000)


@pytest.fixture(scope="module")
def two_faces():
    return GatedDetector([[0, 0, 64, 64], [64, 0, 124, 64]])


@pytest.fixture(scope="module")
def live(fitted, two_faces):
    with serving(with_detector(fitted, two_faces)) as live:
        yield live
        two_faces.gate.set()


@pytest.fixture(scope="module")
def pair(faces):
    """Two drawn faces side by side, the left one masked, as a file for the page."""
    picture = as_png(np.hstack([faces[0][0], faces[0][1]]))
    return {"name": "a pair.png", "mimeType": "image/png", "buffer": picture}


@contextmanager
def opened(browser, url, **options):
    """Open the page, and check at the end that no other host was requested and no script failed."""
    with browser.new_context(**options) as context:
        asked, failed = [], []
        context.on("request", lambda request: asked.append(request.url))
        page = context.new_page()
        page.on("pageerror", lambda error: failed.append(str(error)))
        page.on("console", lambda message: failed.append(message.text) if "Security Policy" in message.text else None)
        page.set_default_timeout(30_000)
        page.goto(url)
        expect(page.locator("#model, #token-form:visible").first).to_be_attached()
        yield page
        assert failed == []
        assert asked
        assert [address for address in asked if not address.startswith((url, "blob:", "data:"))] == []


@pytest.fixture
def page(browser, live):
    with opened(browser, live.url) as page:
        expect(page.locator("#model")).to_contain_text("Model: ")
        yield page


def state_of(page, state):
    expect(page.locator("body")).to_have_attribute("data-state", state)


def analyze(page, pair):
    page.set_input_files("#file", pair)
    state_of(page, "ready")


def pixel(page, x, y):
    """Return the color of a point of the canvas, given in fractions of its width and height."""
    return page.evaluate(
        """([x, y]) => {
            const canvas = document.getElementById("canvas");
            const at = [Math.floor(x * canvas.width), Math.floor(y * canvas.height)];
            return [...canvas.getContext("2d").getImageData(...at, 1, 1).data].slice(0, 3);
        }""",
        [x, y],
    )


def test_chosen_image_is_drawn_counted_and_listed(page, pair):
    state_of(page, "empty")
    expect(page.get_by_text("No image has been analyzed yet.")).to_be_visible()
    analyze(page, pair)
    expect(page.locator("#status")).to_have_text("2 faces: 1 with mask, 1 without mask.")
    canvas = page.get_by_role("img", name="Image a pair.png. 2 faces: 1 with mask, 1 without mask.")
    expect(canvas).to_be_visible()
    expect(page.locator("#counts li")).to_have_text(["1with mask", "1without mask"])
    rows = page.locator("#faces button")
    expect(rows).to_have_count(2)
    expect(rows.nth(0)).to_contain_text("with mask")
    expect(rows.nth(1)).to_contain_text("64 px")
    assert pixel(page, 0.004, 0.04) == [0x00, 0x72, 0xB2]  # the label of the left face has the color of its class
    (photo,) = json.loads(page.locator("#json").text_content())["photos"]
    assert photo["source"] == "a pair.png"
    assert [face["decision"] for face in photo["faces"]] == ["with_mask", "without_mask"]
    assert photo["faces"][0]["box"] == [0, 0, 64, 64]


def test_image_can_be_dropped(page, pair):
    page.evaluate(
        """async (bytes) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], "dropped.png", { type: "image/png" }));
            for (const kind of ["dragover", "drop"])
                document.dispatchEvent(new DragEvent(kind, { dataTransfer: transfer, cancelable: true }));
        }""",
        list(pair["buffer"]),
    )
    state_of(page, "ready")
    assert json.loads(page.locator("#json").text_content())["photos"][0]["source"] == "dropped.png"


def test_image_can_be_pasted(page, pair):
    page.evaluate(
        """(bytes) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], "pasted.png", { type: "image/png" }));
            document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: transfer }));
        }""",
        list(pair["buffer"]),
    )
    state_of(page, "ready")
    assert json.loads(page.locator("#json").text_content())["photos"][0]["source"] == "pasted.png"


def test_slider_changes_decisions_without_a_request(page, pair, two_faces):
    analyze(page, pair)
    n_photos = two_faces.n_photos
    page.locator("#threshold").fill("1")
    expect(page.locator("#status")).to_have_text("2 faces: 2 uncertain.")
    expect(page.locator("#faces button").first).to_contain_text("most likely with mask, low probability")
    (photo,) = json.loads(page.locator("#json").text_content())["photos"]
    assert photo["summary"] == {"uncertain": 2}
    assert photo["faces"][0]["reasons"] == ["low_probability"]
    page.get_by_role("button", name="Reset to the model's threshold").click()
    expect(page.locator("#status")).to_have_text("2 faces: 1 with mask, 1 without mask.")
    assert two_faces.n_photos == n_photos


def test_blur_hides_the_face(page, pair):
    analyze(page, pair)
    eye = (0.19, 0.39)  # of the left face, dark
    before = pixel(page, *eye)
    page.get_by_label("Blur faces").check()
    after = pixel(page, *eye)
    assert max(before) < 100
    assert max(after) > 100


def test_json_is_copied_and_image_saved(browser, live, pair):
    with opened(browser, live.url, permissions=["clipboard-read", "clipboard-write"]) as page:
        analyze(page, pair)
        page.get_by_text("JSON", exact=True).click()
        page.get_by_role("button", name="Copy").click()
        expect(page.locator("#status")).to_have_text("JSON copied.")
        copied = page.evaluate("navigator.clipboard.readText()")
        assert json.loads(copied)["photos"][0]["summary"] == {"with_mask": 1, "without_mask": 1}
        with page.expect_download() as download:
            page.get_by_role("button", name="Save image").click()
        assert download.value.suggested_filename == "a pair-maskkit.png"


def test_all_controls_are_reached_by_keyboard(page, pair):
    analyze(page, pair)
    page.locator("body").click(position={"x": 1, "y": 1})
    reached = []
    for _ in range(10):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.textContent.slice(0, 1)"))
        outline = page.evaluate(
            """() => {
                const element = document.activeElement.id === "file" ? document.activeElement.nextElementSibling
                                                                      : document.activeElement;
                return getComputedStyle(element).outlineStyle;
            }"""
        )
        assert outline == "solid", reached
        if reached[-1] == "1":
            page.keyboard.press("Enter")
            expect(page.locator("#faces button").first).to_have_attribute("aria-pressed", "true")
    expected = ["file", "camera", "save", "1", "2", "threshold", "threshold-reset", "blur"]
    assert reached[: len(expected)] == expected
    page.locator("#threshold").focus()
    page.keyboard.press("End")
    expect(page.locator("#threshold")).to_have_attribute("aria-valuetext", "100%")
    expect(page.locator("#status")).to_have_text("2 faces: 2 uncertain.")


def test_every_control_has_a_name(page, pair):
    analyze(page, pair)
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, input, a, canvas, summary")].filter((element) =>
            element.checkVisibility() && !(element.textContent.trim() || element.labels?.length ||
            element.getAttribute("aria-label"))).map((element) => element.outerHTML)"""
    )
    assert nameless == []


def test_loading_is_shown(page, pair, two_faces):
    two_faces.close()
    page.set_input_files("#file", pair)
    state_of(page, "loading")
    expect(page.locator("#veil")).to_be_visible()
    expect(page.locator("#status")).to_have_text("Detecting faces …")
    two_faces.gate.set()
    state_of(page, "ready")
    expect(page.locator("#veil")).to_be_hidden()


def upload(name, content=b"", kind=""):
    return {"name": name, "mimeType": kind, "buffer": content}


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200)
ODD_FILES = [
    (
        upload("list.txt", b"milk, eggs", "text/plain"),
        "list.txt: is of no accepted format; send JPEG, PNG, WebP, ",
    ),
    (upload("empty.png", b"", "image/png"), "empty.png is empty. Choose another file."),
    (upload("IMG_1.HEIC", HEIC), "IMG_1.HEIC: is a HEIC photo; convert it to JPEG"),
    (upload("a.jpg", b"\xff\xd8\xff", "image/jpeg"), "a.jpg: cannot be read as an image"),
    (upload("a.pdf", b"%PDF-1.7", "application/pdf"), "a.pdf: is a PDF; convert it to JPEG or PNG."),
]


@pytest.mark.parametrize(("odd", "message"), ODD_FILES)
def test_odd_file_is_a_sentence_and_keeps_the_last_result(page, pair, odd, message):
    page.set_input_files("#file", odd)
    state_of(page, "error")
    expect(page.get_by_role("alert")).to_contain_text(message)
    expect(page.get_by_role("alert")).not_to_contain_text("The image shown")
    expect(page.locator("#canvas")).to_be_hidden()
    analyze(page, pair)
    expect(page.get_by_role("alert")).to_be_hidden()
    page.set_input_files("#file", odd)
    state_of(page, "error")
    expect(page.get_by_role("alert")).to_contain_text(message)
    expect(page.get_by_role("alert")).to_contain_text("The image shown is still a pair.png.")
    expect(page.locator("#faces button")).to_have_count(2)
    expect(page.locator("#canvas")).to_be_visible()


def test_folder_is_a_sentence(page):
    page.evaluate(
        """() => {
            const folder = new File(["x"], "photos");
            folder.slice = () => ({ arrayBuffer: async () => { throw new DOMException("", "NotFoundError"); } });
            const event = new DragEvent("drop", { cancelable: true });
            Object.defineProperty(event, "dataTransfer", { value: { files: [folder] } });
            document.dispatchEvent(event);
        }"""
    )
    expect(page.get_by_role("alert")).to_have_text("photos cannot be read. If it is a folder, choose a file in it.")


def test_json_is_that_of_the_api(browser, fitted, two_faces, pair):
    """Also with a threshold that the slider cannot show, and with one that was chosen."""
    classifier = with_detector(fitted, two_faces)
    classifier.threshold = 0.6519676194034402
    with serving(classifier) as live, opened(browser, live.url) as page:
        expect(page.locator("#model")).to_contain_text("Model: ")
        analyze(page, pair)
        for query, threshold in (("", None), ("?threshold=0.3", "0.3"), ("?threshold=1", "1")):
            if threshold:
                page.locator("#threshold").fill(threshold)
            expect(page.locator("#json-request")).to_have_text(f"POST /v1/faces{query}")
            files = {"image": (pair["name"], pair["buffer"])}
            wanted = httpx2.post(f"{live.url}v1/faces{query}", files=files, timeout=60, trust_env=False).json()
            found = json.loads(page.locator("#json").text_content())
            for answer in (wanted, found):
                del answer["photos"][0]["speed_ms"]
            assert found == wanted
            assert list(found["photos"][0]) == list(wanted["photos"][0])


N_FACES = 15


@pytest.fixture(scope="module")
def crowd(browser, fitted, faces):
    """The page with 15 faces that lie close together, and their file."""
    boxes = [
        [20 * (n % 5), 20 * (n // 5), 20 * (n % 5) + 18 - n / 5, 20 * (n // 5) + 18 - n / 5] for n in range(N_FACES)
    ]
    picture = upload("crowd.png", as_png(np.resize(faces[0][0], (64, 104, 3))), "image/png")
    with serving(with_detector(fitted, GatedDetector(boxes))) as live:
        yield live.url, picture


@pytest.mark.parametrize("width", [390, 1280])
def test_long_list_is_visibly_cut(browser, crowd, width):
    url, picture = crowd
    with opened(browser, url, viewport={"width": width, "height": 800}) as page:
        analyze(page, picture)
        expect(page.get_by_role("heading", name="15 faces")).to_be_visible()
        rows = page.locator("#faces button")
        assert [row.is_visible() for row in rows.all()] == [True] * 8 + [False] * 7
        page.get_by_role("button", name="Show all 15 faces").click()
        assert [row.is_visible() for row in rows.all()] == [True] * N_FACES
        # Nothing is hidden behind a scroll bar of the list.
        assert page.evaluate("(list => list.scrollHeight - list.clientHeight)(document.getElementById('faces'))") <= 0
        page.get_by_role("button", name="Show the 8 largest faces only").click()
        assert [row.is_visible() for row in rows.all()] == [True] * 8 + [False] * 7


def test_every_box_has_its_number(browser, crowd):
    url, picture = crowd
    with opened(browser, url) as page:
        page.add_init_script(
            """{
                window.drawn = [];
                const fillText = CanvasRenderingContext2D.prototype.fillText;
                CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) {
                    window.drawn.push(text);
                    return fillText.call(this, text, ...rest);
                };
            }"""
        )
        page.reload()
        expect(page.locator("#model")).to_contain_text("Model: ")
        analyze(page, picture)
        drawn = page.evaluate("window.drawn.slice(-15)")
        assert sorted(int(text.split()[0]) for text in drawn) == list(range(1, N_FACES + 1))
        # A label is whole or a number alone.
        assert all(text.isdecimal() or "mask" in text for text in drawn)
        assert any(text.isdecimal() for text in drawn)


def test_blur_says_what_it_cannot_do(page):
    expect(page.get_by_text("A face that is not found stays sharp.")).to_be_visible()
    assert page.locator("#blur").get_attribute("aria-describedby") == "blur-help"


def test_image_that_the_browser_cannot_show_has_boxes_on_gray(page, pair):
    file = io.BytesIO()
    Image.open(io.BytesIO(pair["buffer"])).save(file, "TIFF")
    analyze(page, upload("a.tif", file.getvalue(), "image/tiff"))
    expect(page.locator("#status")).to_contain_text("This browser cannot show the image, so the boxes are on gray.")
    expect(page.get_by_role("button", name="Save image")).to_be_hidden()


def test_too_large_file_is_not_sent(browser, fitted):
    with (
        serving(fitted, limits=Limits(image_bytes=100_000)) as small,
        opened(browser, small.url) as page,
    ):
        sent = []
        page.route("**/v1/faces*", lambda route: sent.append(route))
        expect(page.locator("#model")).to_contain_text("Model: ")
        page.set_input_files("#file", {"name": "big.png", "mimeType": "image/png", "buffer": b"x" * 200_000})
        expect(page.get_by_role("alert")).to_have_text("big.png has 0.2 MB; the limit is 0.1 MB.")
        assert sent == []


def test_unreachable_server_is_an_error(page, pair):
    page.route("**/v1/faces*", lambda route: route.abort())
    page.set_input_files("#file", pair)
    expect(page.get_by_role("alert")).to_have_text("The server cannot be reached. Check that it is running.")


def test_busy_server_is_retried(page, pair):
    n_tries = 0

    def answer(route):
        nonlocal n_tries
        n_tries += 1
        if n_tries == 1:
            body = json.dumps({"error": {"code": "queue_full", "message": "full"}})
            route.fulfill(status=503, headers={"Retry-After": "1"}, content_type="application/json", body=body)
        else:
            route.continue_()

    page.route("**/v1/faces*", answer)
    page.set_input_files("#file", pair)
    state_of(page, "busy")
    expect(page.locator("#status")).to_have_text("The server is busy. Retrying in 1 s …")
    state_of(page, "ready")
    assert n_tries == 2


def test_image_without_faces_is_reported(browser, fitted, pair):
    with (
        serving(with_detector(fitted, GatedDetector(np.zeros((0, 4))))) as empty,
        opened(browser, empty.url) as page,
    ):
        page.set_input_files("#file", pair)
        state_of(page, "none")
        expect(page.locator("#status")).to_have_text("No face found.")
        expect(page.locator("#counts")).to_have_text("No face found")


def test_token_is_requested(browser, fitted, two_faces, pair):
    with (
        serving(with_detector(fitted, two_faces), token="secret") as guarded,
        opened(browser, guarded.url) as page,
    ):
        field = page.get_by_label("This server requires a token")
        expect(field).to_be_focused()
        field.fill("wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_have_text("This token is wrong.")
        field.fill("secret")
        page.keyboard.press("Enter")
        expect(field).to_be_hidden()
        analyze(page, pair)
        assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]


def test_camera_is_analyzed_continuously(page, two_faces):
    page.get_by_role("button", name="Use camera").click()
    state_of(page, "ready")
    n_answers = "performance.getEntriesByType('resource').filter((entry) => entry.name.includes('faces')).length"
    n_photos, n_before = two_faces.n_photos, page.evaluate(n_answers)
    page.wait_for_function(f"() => {n_answers} >= {n_before} + 2")
    assert two_faces.n_photos > n_photos
    stop = page.get_by_role("button", name="Stop camera")
    expect(stop).to_have_attribute("aria-pressed", "true")
    stop.click()
    expect(page.get_by_role("button", name="Use camera")).to_be_visible()
    # The last frame stays, and with it its faces.
    expect(page.locator("#faces button")).to_have_count(2)


def test_image_stops_the_camera(page, pair):
    page.get_by_role("button", name="Use camera").click()
    state_of(page, "ready")
    page.set_input_files("#file", pair)
    expect(page.get_by_role("button", name="Use camera")).to_be_visible()
    expect(page.get_by_role("img", name="Image a pair.png.")).to_be_visible()


def test_missing_camera_is_an_error_and_keeps_the_last_result(page, pair):
    analyze(page, pair)
    page.evaluate(
        "() => { navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', 'NotFoundError'); }; }"
    )
    page.get_by_role("button", name="Use camera").click()
    expect(page.get_by_role("alert")).to_have_text("No camera was found. The image shown is still a pair.png.")
    expect(page.locator("#faces button")).to_have_count(2)


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_is_wider_than_the_window(browser, live, pair, width):
    with opened(browser, live.url, viewport={"width": width, "height": 800}) as page:
        analyze(page, pair)
        page.get_by_text("JSON", exact=True).click()
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_another_page_can_neither_use_nor_frame_it(browser, live, fitted, two_faces, pair):
    """A hostile page on another port: its requests are refused and its frame stays empty."""
    with serving(fitted) as other, browser.new_context() as context:
        page = context.new_page()
        page.route(f"{other.url}evil", lambda route: route.fulfill(content_type="text/html", body="<p>hello"))
        page.goto(f"{other.url}evil")
        n_photos = two_faces.n_photos
        seen = page.evaluate(
            """async ([url, bytes]) => {
                const form = new FormData();
                form.append("image", new Blob([new Uint8Array(bytes)]), "a.png");
                const ask = (mode) => fetch(`${url}v1/faces`, { method: "POST", body: form, mode });
                const read = await ask("cors").then(() => "read", () => "refused");
                const blind = await ask("no-cors").then((response) => response.type, () => "refused");
                const frame = document.createElement("iframe");
                frame.src = url;
                document.body.append(frame);
                await new Promise((loaded) => (frame.onload = loaded));
                return { read, blind, script: frame.contentDocument };
            }""",
            [live.url, list(pair["buffer"])],
        )
        framed = [frame.url for frame in page.frames[1:]]
    assert (seen["read"], seen["script"]) == ("refused", None)
    assert seen["blind"] in ("opaque", "refused")
    assert two_faces.n_photos == n_photos  # no photo was processed
    assert framed == ["chrome-error://chromewebdata/"]
