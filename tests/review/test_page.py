"""The page of a review in Chromium: keyboard, many faces at once, undo, phone, filters, and no other requests."""

from contextlib import contextmanager

import pytest

from tests.review.conftest import TOKEN, reviewing

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install 'maskkit[test]'")
expect = sync_api.expect
expect.set_options(timeout=30_000)

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


@contextmanager
def opened(browser, url, **options):
    """Open the page, and check at the end that nothing else was requested and no script failed."""
    with browser.new_context(**options) as context:
        asked, failed = [], []
        context.on("request", lambda request: asked.append(request.url))
        page = context.new_page()
        page.on("pageerror", lambda error: failed.append(str(error)))
        page.on("console", lambda message: failed.append(message.text) if "Security Policy" in message.text else None)
        page.goto(f"{url}#{TOKEN}")
        expect(page.locator("body")).to_have_attribute("data-state", "ready")
        yield page
        assert failed == []
        assert [address for address in asked if not address.startswith((url, "blob:"))] == []
        assert not any(TOKEN in address for address in asked)


@pytest.fixture
def live(tmp_path, taught):
    with reviewing(tmp_path, taught, n_faces=70) as (url, labels_file):
        yield url, labels_file


@pytest.fixture
def page(browser, live):
    with opened(browser, live[0]) as page:
        page.labels_file = live[1]
        yield page


def answered(page, text):
    expect(page.locator("#progress-text")).to_have_text(f"{text} of 70 faces answered")


def read(page, n_answers):
    """Return the answers of the file, once there are so many."""
    for _ in range(200):
        found = list(page.labels_file.read().values())
        if len(found) == n_answers:
            return found
        page.wait_for_timeout(20)
    raise AssertionError(found)


def test_faces_are_answered_by_the_keyboard(page):
    expect(page.locator(".tile")).to_have_count(60)
    expect(page.locator(".tile").first).to_contain_text("labeled ")
    expect(page.locator(".tile img").first).to_have_js_property("naturalWidth", 192)
    for key in ("1", "w", "o", "3", "n", "s"):
        page.keyboard.press(key)
    answered(page, 6)
    given = ["with_mask", "with_mask", "without_mask", "mask_worn_incorrectly", "not a face", "skipped"]
    assert read(page, 6) == given
    page.keyboard.press("u")
    page.keyboard.press("Control+z")
    answered(page, 4)
    assert read(page, 4) == given[:4]
    expect(page.locator(".tile.cursor")).to_contain_text("labeled")
    assert page.locator(".tile").nth(4).get_attribute("class") == "tile cursor"
    # The single view goes on with the next face.
    page.keyboard.press("Enter")
    expect(page.locator("#picture")).to_have_js_property("naturalWidth", 720)
    page.keyboard.press("2")
    expect(page.locator("#target")).to_have_text("Face 6 of 70")
    page.keyboard.press("Escape")
    expect(page.locator("#grid-view")).to_be_visible()
    answered(page, 5)


def test_many_faces_are_answered_and_undone_together(page):
    page.keyboard.press("ArrowRight")
    for _ in range(3):
        page.keyboard.press("Shift+ArrowRight")
    expect(page.locator("#target")).to_have_text("4 selected")
    page.keyboard.press("Shift+ArrowDown")
    page.locator("#choices").get_by_role("button", name="without mask").click()
    answered(page, len(read(page, int(page.locator("#progress").get_attribute("value")))))
    assert set(page.labels_file.read().values()) == {"without_mask"}
    n_before = len(page.labels_file.read())
    assert n_before > 4
    page.keyboard.press("Control+a")
    page.keyboard.press("w")
    assert set(read(page, 60)) == {"with_mask"}
    expect(page.locator("#page-text")).to_have_text("Page 2 of 2")
    page.get_by_role("button", name="Undo").click()
    assert set(read(page, n_before)) == {"without_mask"}
    page.keyboard.press("u")
    read(page, 0)
    # Single faces are added by Ctrl and a click, and ranges by Shift.
    tiles = page.locator(".tile")
    tiles.nth(0).click()
    tiles.nth(2).click(modifiers=["Shift"])
    tiles.nth(9).click(modifiers=["ControlOrMeta"])
    expect(page.locator("#target")).to_have_text("4 selected")
    page.keyboard.press("Escape")
    expect(page.locator("[aria-pressed=true].tile")).to_have_count(0)


def test_filters_show_what_is_left_and_a_new_start_goes_on(browser, live, page):
    page.keyboard.press("Control+a")
    page.keyboard.press("s")
    answered(page, 60)
    page.locator("#status").select_option("answered")
    expect(page.locator(".tile")).to_have_count(60)
    page.locator("#status").select_option("open")
    expect(page.locator(".tile")).to_have_count(10)
    reasons = page.locator("#reasons button")
    for index in range(1, reasons.count()):
        reasons.nth(index).click()
        n_left = int(reasons.nth(index).text_content().rpartition(" ")[2])
        expect(page.locator(".tile")).to_have_count(n_left)
    with opened(browser, live[0]) as other:
        expect(other.locator("#progress-text")).to_have_text("60 of 70 faces answered")
        expect(other.locator(".tile")).to_have_count(10)


def test_an_answer_that_cannot_be_saved_is_shown_and_taken_back(page):
    page.labels_file.path.write_text("my,notes\n1,2\n")
    page.keyboard.press("1")
    expect(page.locator("#error")).to_contain_text("The file of answers cannot be used")
    answered(page, 0)
    page.labels_file.path.unlink()
    page.keyboard.press("1")
    expect(page.locator("#error")).to_be_hidden()
    read(page, 1)


def test_a_phone_taps_presses_and_selects(browser, live):
    with opened(browser, live[0], **PHONE) as page:
        page.labels_file = live[1]
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        for button in page.locator("#choices button").all():
            assert button.bounding_box()["height"] >= 44
        tiles = page.locator(".tile")
        tiles.nth(1).tap()
        expect(page.locator("#single-view")).to_be_visible()
        page.locator("#choices").get_by_role("button", name="with mask", exact=True).tap()
        expect(page.locator("#target")).to_have_text("Face 3 of 70")
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        page.get_by_role("button", name="All faces").tap()
        # A long press begins a selection.
        box = tiles.nth(3).bounding_box()
        touch = page.context.new_cdp_session(page)
        point = {"x": box["x"] + 30, "y": box["y"] + 30}
        touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [point]})
        expect(page.locator("#target")).to_have_text("1 selected")
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        tiles.nth(4).tap()
        tiles.nth(5).tap()
        expect(page.locator("#target")).to_have_text("3 selected")
        page.locator("#choices").get_by_role("button", name="not a face").tap()
        assert read(page, 4) == ["with_mask", *["not a face"] * 3]


def test_without_the_token_the_page_says_where_it_is(browser, live):
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(live[0])
        expect(page.locator("#error")).to_contain_text("Open the whole address that maskkit review printed")
        expect(page.locator(".tile")).to_have_count(0)


def test_teaching_shows_figures_before_and_after(browser, tmp_path, savable):
    with reviewing(tmp_path, savable, n_faces=70) as (url, labels_file), opened(browser, url) as page:
        page.labels_file = labels_file
        page.get_by_role("button", name="Teach").click()
        expect(page.locator("#teach-missing")).to_contain_text("want two classes or more")
        expect(page.locator("#teach-start")).to_be_disabled()
        page.locator("#teach-close").click()
        told = page.request.get(f"{url}v1/faces", headers={"Authorization": f"Bearer {TOKEN}"}).json()
        for label, key in (("with_mask", "w"), ("without_mask", "o")):
            for index in range(60):
                if told["faces"][index]["text"].startswith(f"labeled {label}"):
                    page.locator(f"[data-index='{index}']").click(modifiers=["ControlOrMeta"])
            page.keyboard.press(key)
            page.keyboard.press("PageUp")
        read(page, 60)
        page.get_by_role("button", name="Teach").click()
        page.locator("#teach-start").click()
        expect(page.locator("#teach-figures tr")).to_have_count(4)
        expect(page.locator("#teach-figures tr").first).to_contain_text("accuracy")
        expect(page.locator("#teach-figures tr").first.locator("td small")).to_have_count(2)
        n_held_out = labels_file.count()["validation"].total()
        expect(page.locator("#teach-notes")).to_contain_text(f"{n_held_out} held-out faces, with 95 % intervals")
        expect(page.locator("#teach-folder")).to_have_text(f"Saved: {tmp_path / 'labels-model'}")
        # The dialog takes the keys.
        page.keyboard.press("1")
        assert len(labels_file.read()) == 60
