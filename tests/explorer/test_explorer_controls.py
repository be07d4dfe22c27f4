"""Everything a reader can do on the page, with the mouse and with the keyboard alone."""

import base64
import io
import re

import numpy as np
import pytest
from explorer_page import MEASURED
from PIL import Image

import minivit
from minivit.samples import CAT, PHOTOS

pytestmark = pytest.mark.explorer
BLACK = -1.0
CONFIG = minivit.load().config
L, H = CONFIG.num_layers, CONFIG.num_heads


def keys():
    from selenium.webdriver import Keys
    return Keys


def moved(page, before):
    return np.abs(page.probabilities - before).max() > 1e-4


# Looking.

def test_choosing_a_token(page):
    page.click('[data-patch="27"]')
    assert page.state["token"] == 28 and "patch=27" in page("location.hash") and page.state["view"] == "attention"
    assert page.find("#token").text == "patch 27"
    page.press('[data-patch="27"]', keys().ARROW_DOWN, keys().ARROW_LEFT, keys().ENTER)
    assert page.state["token"] == 35
    page.click("#picture .cls")
    assert page.state["token"] == 0 and "patch=cls" in page("location.hash")
    page.click('[data-token="5"]')
    assert page.state["token"] == 5
    page.press('[data-token="5"]', keys().ARROW_RIGHT, keys().ENTER)
    assert page.state["token"] == 6
    page.press("canvas.matrix", keys().ARROW_DOWN)
    assert page.state["token"] == 7
    from selenium.webdriver import ActionChains
    matrix = page.at("canvas.matrix")
    down = round(matrix.size["height"] * 0.3)
    ActionChains(page.driver).move_to_element_with_offset(matrix, 0, down).click().perform()
    assert page.state["token"] in (51, 52)                                 # 0.8 of 65 rows


def test_choosing_layer_and_head(page):
    page.click('input[name="Layer"][value="2"]')
    page.click('input[name="Head"][value="mean"]')
    assert (page.state["layer"], page.state["head"]) == (2, "mean") and "layer=2&head=mean" in page("location.hash")
    page.press('input[name="Layer"][value="2"]', keys().ARROW_RIGHT)
    page.press('input[name="Head"][value="mean"]', keys().ARROW_LEFT)
    assert (page.state["layer"], page.state["head"]) == (3, H - 1)
    page.click('[data-map="1.2"]')
    assert (page.state["layer"], page.state["head"]) == (1, 2)
    page.press('[data-map="4.0"]', keys().ENTER)
    assert (page.state["layer"], page.state["head"]) == (4, 0)
    assert page("[...document.querySelectorAll('.switch span')].map((e) => e.textContent)") == [
        "Positions", "Layer 4 on", "Head 0 of layer 4 on"]


def test_terms_are_explained_by_mouse_key_and_touch(page):
    term, words = '#map-note [data-term="[CLS]"]', "document.getElementById('term')?.matches(':popover-open')"
    page.click(term)
    assert page(words) and page.find("#term").text.startswith("The class token")
    assert page.find(term).get_attribute("aria-expanded") == "true"
    assert page.find("#status").get_attribute("textContent") == page.find("#term").text
    page.click(term)
    assert not page(words) and page.find(term).get_attribute("aria-expanded") == "false"
    page.press(term, keys().ENTER)
    assert page(words)
    page.press(term, keys().ESCAPE)
    assert not page(words)
    page.press('[data-part="lens"] [data-term="logit lens"]', keys().SPACE)
    assert page(words) and page.find("#term").text.startswith("Reads the answer early")
    page.click("#answer-title")
    assert not page(words)
    box = page.at(term).rect
    top = page("scrollY")
    for kind, points in (("touchStart", [{"x": box["x"] + 5, "y": box["y"] - top + 5}]), ("touchEnd", [])):
        page.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    page.until(words)
    inside = page("""(() => {
        const { left, right, top, bottom } = document.getElementById("term").getBoundingClientRect();
        return left >= 0 && top >= 0 && right <= innerWidth && bottom <= innerHeight; })()""")
    assert inside


def test_what_the_tour_says_can_be_tried_in_it(page):
    page.open("#section=5")
    page.click("#tour .acts button:nth-child(1)")
    assert sorted(page.state["order"]) == list(range(64))
    page.press("#tour .acts button:nth-child(2)", keys().ENTER)
    assert page.state["positions"] is False and page.state["section"] == 5
    page.open("#section=9&layer=2")
    page.click("#tour .acts button")
    assert page.state["layersOff"] == [2]


def test_the_tours_terms_close_before_the_tour(page):
    page.open("#section=16")
    page.press('#tour-text [data-term="rollout"]', keys().ENTER)
    page.press('#tour-text [data-term="rollout"]', keys().ESCAPE)
    assert page.find("#tour").is_displayed() and not page("document.getElementById('term').matches(':popover-open')")
    page.press('#tour-text [data-term="rollout"]', keys().ESCAPE)
    assert not page.find("#tour").is_displayed()


def test_the_opened_row_is_the_softmax_of_that_row(page):
    """The numbers in the table are those of the trace, for the token, layer and head that are chosen."""
    page.click('[data-patch="27"]')
    trace, (layer, head, token) = page.trace, (page.state[k] for k in ("layer", "head", "token"))
    row = trace[f"layer.{layer}.attention"][0, head, token]
    scores = trace[f"layer.{layer}.scores"][0, head, token]
    table = page("""Array.from(document.querySelectorAll('[data-part="attention"] tbody tr'),
        (row) => [Number(row.querySelector("button").dataset.key), ...[2, 4].map((i) => row.cells[i].textContent)])""")
    assert [t for t, _, _ in table] == np.argsort(-row, kind="stable")[:8].tolist()
    for t, score, weight in table:
        assert weight == f"{100 * row[t]:.1f} %"
        assert float(score.replace("−", "-")) == pytest.approx(scores[t], abs=0.06)
    page.click('[data-part="attention"] tbody tr:nth-child(3) button')
    assert page("document.querySelector('[data-part=\"attention\"] tr[aria-selected=\"true\"]').rowIndex") == 3
    page.press('[data-part="attention"] tbody tr:nth-child(2) button', keys().ENTER)
    assert page("document.querySelector('[data-part=\"attention\"] tr[aria-selected=\"true\"]').rowIndex") == 2


def board(page):
    """The picture as it is drawn, (H, W, 3) from 0 to 255."""
    url = page("document.querySelector('.board canvas').toDataURL()")
    with Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))) as image:
        return np.asarray(image.convert("RGB"), float)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_bright_is_much_in_the_picture_and_in_the_maps(page, theme):
    """In light and dark alike: the patch that gets least is dim, the one that gets most stands in full."""
    page.driver.execute_script("document.documentElement.dataset.theme = arguments[0]", theme)
    page.click('input[name="Map"][value="rollout"]')
    page.click('input[name="Map"][value="picture"]')
    plain = board(page)
    page.click('[data-patch="27"]')
    layer, head, token = (page.state[k] for k in ("layer", "head", "token"))
    row = page.trace[f"layer.{layer}.attention"][0, head, token, 1:]
    drawn = board(page)

    def patch(image, n):
        y, x = divmod(int(n), 8)
        return image[4 * y:4 * y + 4, 4 * x:4 * x + 4]
    assert (patch(drawn, row.argmax()) >= patch(plain, row.argmax())).all()
    assert patch(drawn, row.argmin()).mean() < 0.7 * patch(plain, row.argmin()).mean()
    shades = page(f"""(() => {{ const c = document.querySelector('[data-map="{layer}.{head}"] canvas');
        return Array.from(c.getContext("2d").getImageData(0, 0, 8, 8).data); }})()""")
    brightness = np.reshape(shades, (64, 4))[:, :3].mean(axis=1)
    assert np.array_equal(np.argsort(brightness[np.argsort(row)], kind="stable"), np.arange(64))


def test_the_gradients_scale_is_said(page):
    """Five pixels in a hundred have the brightest colour; the number from which they have it stands beneath."""
    page.click('input[name="Map"][value="gradient"]')
    _, gradient = page.gradient
    size = np.linalg.norm(gradient[0], axis=-1)
    drawn = board(page)
    brightest = drawn.sum(axis=-1) == drawn.sum(axis=-1).max()
    assert brightest.mean() == pytest.approx(0.05, abs=0.004) and size[brightest].min() > size[~brightest].max()
    said = re.search(r"brightest from (\S+) on \(5 % of the pixels\)", page.find("#map-note").text)[1]
    assert float(said) == pytest.approx(np.quantile(size, 0.95), rel=0.05)
    assert np.median(drawn) > 40                                             # a map that can be seen


def test_a_place_is_most_alike_to_itself(page, model):
    """The brightest cell of a tile is the place's own; the scale begins at the lowest cosine of all."""
    places = model.params["pos_embed"][0, -CONFIG.num_patches:]
    places = places / np.linalg.norm(places, axis=1, keepdims=True)
    page.click('[data-patch="27"]')
    rgba, sheet = page("""[...document.querySelectorAll('[data-part="positions"] canvas')].map((c) =>
        [c.width, Array.from(c.getContext("2d").getImageData(0, 0, c.width, c.height).data)])""")
    assert rgba[0] == 8 and sheet[0] == 8 * 9 - 1
    tile = np.reshape(rgba[1], (64, 4))[:, :3].sum(axis=1)
    assert tile.argmax() == 27 and np.corrcoef(tile, places @ places[27])[0, 1] > 0.95
    row, column = divmod(27, 8)
    shown = np.reshape(sheet[1], (71, 71, 4))
    assert np.array_equal(shown[9 * row:9 * row + 8, 9 * column:9 * column + 8].reshape(64, 4)[:, :3].sum(axis=1), tile)
    assert (shown[8::9, :, 3] == 0).all() and (shown[:, 8::9, 3] == 0).all()                   # between the tiles
    said = re.search(r": (\S+) to 1\. Bright is alike", page.find('[data-part="positions"] figcaption').text)[1]
    assert float(said.replace("−", "-")) == pytest.approx((places @ places[27]).min(), abs=0.006)


@pytest.mark.parametrize("view", ["attention", "rollout", "gradient", "picture"])
def test_the_map_over_the_picture(page, view):
    plain = page("document.querySelector('.board canvas').toDataURL()")
    page.click('input[name="Map"][value="rollout"]')
    page.click(f'input[name="Map"][value="{view}"]')
    assert (page("document.querySelector('.board canvas').toDataURL()") == plain) == (view == "picture")
    order = ["picture", "attention", "rollout", "gradient"]
    page.press(f'input[name="Map"][value="{view}"]', keys().ARROW_RIGHT)
    assert page.state["view"] == order[(order.index(view) + 1) % 4]


def test_the_class_of_the_gradient(page):
    assert page("explorer.gradient.label") == 3
    page.click('[data-class="5"]')
    assert page("explorer.gradient.label") == 5 and "class=dog" in page("location.hash")
    page.press('[data-class="8"]', keys().ENTER)
    assert page("explorer.gradient.label") == 8
    page.click('[data-class="8"]')
    assert page("explorer.gradient.label") == 3


def test_channel_steps_and_costs(page):
    page.click('[data-patch="3"]')
    page.press("#channel", keys().ARROW_RIGHT, keys().ARROW_RIGHT)
    assert page.find("#channel-value").text == "2"
    page.click("#all-steps summary")
    assert page("document.querySelectorAll('#all-steps tbody tr').length") == len(page.trace)
    page.press("#all-steps summary", keys().ENTER)
    assert not page("document.getElementById('all-steps').open")
    page.press("#side", keys().ARROW_RIGHT)
    assert page("document.querySelector('#part-costs tbody td').textContent") == "257"
    page.click("#side")
    page.click("#play")
    page.press("#play", keys().ENTER)
    page.click('[data-goto="head"]')
    page.press('[data-goto="patches"]', keys().ENTER)


# Touching: each by mouse and by keyboard; the answer follows, and comes back.

def test_painting_patches_out(page):
    from selenium.webdriver import ActionChains
    before = page.probabilities
    page.click('input[name="Tool"][value="paint"]')
    first, last = page.at('[data-patch="18"]'), page.find('[data-patch="21"]')
    ActionChains(page.driver).click_and_hold(first).move_to_element(page.find('[data-patch="19"]')) \
        .move_to_element(page.find('[data-patch="20"]')).move_to_element(last).release().perform()
    page.settle()
    assert page.state["painted"] == [18, 19, 20, 21] and moved(page, before)
    assert np.all(page.trace["patches"][0, 18:22] == 0)
    page.click('[data-patch="18"]')
    assert page.state["painted"] == [19, 20, 21]
    page.press('[data-patch="18"]', keys().ARROW_RIGHT, keys().ENTER, keys().ARROW_DOWN, keys().SPACE)
    assert page.state["painted"] == [20, 21, 27]
    page.click("#reset")
    assert page.state["painted"] == [] and np.array_equal(page.probabilities, before)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_is_painted_out_stands_out_in_every_map(page, theme):
    page.driver.execute_script("document.documentElement.dataset.theme = arguments[0]", theme)
    page.click('input[name="Tool"][value="paint"]')
    page.click('[data-patch="0"]')
    for view in ("picture", "attention", "rollout", "gradient"):
        page.click(f'input[name="Map"][value="{view}"]')
        with Image.open(io.BytesIO(page.at('[data-patch="0"]').screenshot_as_png)) as patch:
            assert np.asarray(patch.convert("L"))[4:-4, 4:-4].std() > 20
        assert page.find("#map-note").text.endswith("1 of 64 painted out.")


def test_undo_lays_the_tool_down_too(page):
    undo = page.find("#reset")
    assert not undo.is_enabled()
    for selector, name, before in (('input[name="Tool"][value="paint"]', "tool", "look"),
                                   ('input[name="Map"][value="rollout"]', "view", "picture"),
                                   ('[data-class="8"]', "label", None)):
        page.click(selector)
        assert page.state[name] != before and undo.is_enabled()
        page.click("#reset")
        assert page.state[name] == before and not undo.is_enabled()
    assert "class=" not in page("location.hash")


def test_computing_is_said(page):
    page.driver.execute_script("Worker.prototype.postMessage = () => {}")             # an answer that does not come
    page.find("#positions").click()
    page.until("getComputedStyle(document.querySelector('#chip .computing')).opacity === '1'")
    assert page.find("#chip .computing").text == "computing …"
    assert page("getComputedStyle(document.getElementById('chip-answer')).opacity") == "0"
    assert page.find("#answer").get_attribute("aria-busy") == "true"


def test_loading_is_said(page):
    page.driver.execute_cdp_cmd("Network.enable", {})
    page.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*/main.js"]})
    try:
        page.driver.get(page.address + "?loading")
        assert page.find("#loading").is_displayed() and "computes here" in page.find("#loading").text
    finally:
        page.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
        page.open()
    assert not page("document.getElementById('loading')")
    page.driver.get_log("browser")


def test_shuffling_and_positions(page):
    before = page.probabilities
    page.click("#picture .row button")
    assert sorted(page.state["order"]) == list(range(64)) and moved(page, before)
    shuffled = page.trace["patches"][0]
    page.click("#picture .row button")
    assert page.state["order"] is None and np.array_equal(page.trace["patches"][0][0], page.trace["patches"][0][0])
    assert not np.array_equal(shuffled, page.trace["patches"][0])
    page.press("#positions", keys().SPACE)
    assert page.state["positions"] is False and moved(page, before)
    without = page.probabilities
    page.press("#picture .row button", keys().ENTER)
    assert page.state["order"] and np.abs(page.probabilities - without).max() < 1e-5       # a set knows no order
    page.press("#reset", keys().ENTER)
    page.click("#positions")
    assert page.state["positions"] is False
    page.click("#positions")
    assert np.array_equal(page.probabilities, before)


def test_a_head_off_and_a_layer_off(page):
    before = page.probabilities
    page.click('[data-map="2.1"]')
    page.click("#head-on")
    assert page.state["headsOff"] == ["2.1"] and moved(page, before)
    assert page("document.querySelector('[data-map=\"2.1\"]').classList.contains('off')")
    page.press("#head-on", keys().SPACE)
    assert page.state["headsOff"] == [] and np.array_equal(page.probabilities, before)
    page.press("#layer-on", keys().SPACE)
    assert page.state["layersOff"] == [2] and moved(page, before)
    trace = page.trace
    assert np.array_equal(trace["layer.2.output"], trace["layer.1.output"])
    page.click("#layer-on")
    assert page.state["layersOff"] == [] and np.array_equal(page.probabilities, before)
    page.click('input[name="Head"][value="mean"]')
    assert not page.find("#head-on").is_enabled()


def test_temperature(page):
    from selenium.webdriver import ActionChains
    before, peak = page.probabilities, page.trace["layer.0.attention"].max(axis=-1).mean()
    page.press("#temperature", *[keys().ARROW_RIGHT] * 10)
    assert page.state["temperature"] == pytest.approx(2 ** 0.5, abs=1e-3) and moved(page, before)
    assert page.trace["layer.0.attention"].max(axis=-1).mean() < peak
    slider = page.at("#temperature")
    ActionChains(page.driver).move_to_element_with_offset(slider, -slider.size["width"] // 3, 0).click().perform()
    page.settle()
    assert page.state["temperature"] < 0.6


def test_one_pixel(page):
    before = page.trace["pixels"]
    page.click('input[name="Tool"][value="pixel"]')
    page.click('[data-patch="27"]')                                       # its middle, where four pixels meet
    field = page.find("#pixel-x")
    x, y = (int(page.find(f"#pixel-{name}").get_attribute("value")) for name in "xy")
    assert x in (13, 14) and y in (13, 14)
    page.press('[data-colour="0"]', keys().HOME)
    page.press('[data-colour="1"]', keys().END)
    after = page.trace["pixels"]
    assert after[0, y, x, :2] == pytest.approx([-1, 1])
    assert np.flatnonzero((after != before).any(axis=-1)).tolist() == [y * 32 + x]
    field.clear()
    field.send_keys("3")
    page.press('[data-colour="2"]', keys().END)
    assert page.trace["pixels"][0, y, 3, 2] == pytest.approx(1)
    page.click('[data-colour="1"]')
    assert page.trace["pixels"][0, y, 3, 1] == pytest.approx(0, abs=0.1)


def test_shifting_by_a_pixel(page):
    base = page.trace["pixels"][0]
    page.click('[aria-label="Shift the picture one pixel right"]')
    page.press('[aria-label="Shift the picture one pixel down"]', keys().ENTER, keys().ENTER)
    shifted = page.trace["pixels"][0]
    assert page.state["shift"] == [1, 2]
    assert np.array_equal(shifted[2:, 1:], base[:-2, :-1])
    assert np.all(shifted[:2] == BLACK) and np.all(shifted[:, :1] == BLACK)
    page.click('[aria-label="Shift the picture one pixel left"]')
    page.click('[aria-label="Shift the picture one pixel up"]')
    page.click('[aria-label="Shift the picture one pixel up"]')
    assert np.array_equal(page.trace["pixels"][0], base)


def test_a_step_against_the_gradient(page):
    before = page.probabilities
    page.click('[data-class="5"]')
    page.click("#step")
    assert page.probabilities[5] > before[5] and np.abs(page.trace["pixels"][0] - page.arrays(
        "return {base: {data: explorer.base, shape: [32, 32, 3]}}")["base"]).max() == pytest.approx(4 / 255, abs=1e-5)
    once = page.probabilities
    page.press("#step", keys().ENTER)
    assert page.probabilities[5] > once[5]


def test_milliseconds_a_change(page):
    """Nine of each, as the page measures them: from the control until the window shows answer, maps and gradient.

    Beside them what kept the page from answering: tasks of its main thread of 50 ms or more, which Chromium reports.
    """
    page.driver.execute_script("""globalThis.long_tasks = [];
        new PerformanceObserver((list) => list.getEntries().forEach((e) => long_tasks.push(e.duration)))
            .observe({type: "longtask"})""")

    def tool(name):
        page.click(f'input[name="Tool"][value="{name}"]')

    def slider(name):
        return lambda i: page.press(name, keys().ARROW_RIGHT)

    ship = "document.querySelector('[data-picture=\"ship-0\"]')"
    page.until(ship)
    changes = {
        "a patch painted out": (lambda i: page.click(f'[data-patch="{20 + i}"]'), lambda: tool("paint")),
        "patches shuffled": (lambda i: page.click("#picture .row button"), None),
        "positions on or off": (lambda i: page.click("#positions"), None),
        "a head on or off": (lambda i: page.click("#head-on"), None),
        "a layer on or off": (lambda i: page.click("#layer-on"), None),
        "temperature": (slider("#temperature"), None),
        "one pixel's colour": (slider('[data-colour="0"]'), lambda: tool("pixel") or page.click('[data-patch="27"]')),
        "shifted by a pixel": (lambda i: page.click('[aria-label="Shift the picture one pixel right"]'), None),
        "a step of the gradient": (lambda i: page.click("#step"), None),
        "another class's gradient": (lambda i: page.click(f'[data-class="{i}"]'), None),
        "another picture": (lambda i: page.click(f'[data-picture="{["ship", "frog"][i % 2]}-0"]'), None),
    }
    looks = {
        "another token": lambda i: page.click(f'[data-patch="{i}"]'),
        "another layer": lambda i: page.click(f'input[name="Layer"][value="{i % L}"]'),
        "another head": lambda i: page.click(f'input[name="Head"][value="{i % H}"]'),
    }
    for name, (act, prepare) in changes.items():
        if prepare:
            prepare()
        for i in range(9):
            before = page("explorer.asked")
            act(i)
            assert page("explorer.asked") > before
            MEASURED["change"].setdefault(name, []).append(page("explorer.milliseconds.change"))
    tool("look")
    for name, act in looks.items():
        for i in range(9):
            act(i)
            page.settle()
            MEASURED["change"].setdefault(name, []).append(page("explorer.milliseconds.look"))
    MEASURED["change"]["a task over 50 ms"] = page("long_tasks") or [0]


def test_the_untouched_answer_stays_beside_the_new_one(page):
    before = page.probabilities
    page.click("#positions")
    tick = page("document.querySelector('[data-class=\"3\"] .tick').style.left")
    assert float(tick.rstrip("%")) == pytest.approx(100 * before[3], abs=0.01)
    assert "untouched, it was" in page.find("#status").get_attribute("textContent")
    points = page("document.querySelector('[data-class=\"3\"] em').textContent")
    assert float(points.replace("−", "-")) == pytest.approx(100 * (page.probabilities[3] - before[3]), abs=0.051)


# Pictures.

def test_packaged_pictures(page):
    page.until("document.querySelectorAll('[data-picture]').length >= 11")
    page.click('[data-picture="ship-0"]')
    assert page.state["picture"] == "ship-0" and "picture=ship-0" in page("location.hash")
    page.press('[data-picture="truck-0"]', keys().ENTER)
    assert page.state["picture"] == "truck-0"
    page.click(".sources details:nth-of-type(2) summary")
    page.until("document.querySelectorAll('[data-picture]').length === 111")
    page.click('[data-picture="frog-7"]')
    assert page.state["picture"] == "frog-7"
    page.click(".sources details:nth-of-type(1) summary")
    page.until("document.querySelectorAll('[data-picture]').length === 120")
    for photo in PHOTOS.rglob("*.jpg"):
        page.click(f'[data-picture="{photo.stem}-photo"]')
        assert f"picture={photo.stem}-photo" in page("location.hash") and not page.error
        # The weights are the package's own, and Chromium decodes these photos as Pillow does.
        np.testing.assert_allclose(page.probabilities, minivit.forward(photo).probabilities, rtol=0, atol=1e-4)
    files = page("performance.getEntriesByType('resource').map((e) => new URL(e.name).pathname)")
    assert [files.count(f"/pictures/{name}") for name in ("cifar10_test.png", "cat.jpg")] == [1, 1]


def paste_or_drop(page, kind, path):
    page.driver.execute_async_script("""
        const [kind, url, done] = arguments;
        fetch(url).then((r) => r.blob()).then((blob) => {
            const data = new DataTransfer();
            data.items.add(new File([blob], "picture.jpg", {type: "image/jpeg"}));
            document.body.dispatchEvent(kind === "paste"
                ? new ClipboardEvent("paste", {clipboardData: data, bubbles: true})
                : new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true}));
            done();
        });""", kind, path)
    page.until("explorer.state.picture === 'own'")
    page.settle()


@pytest.mark.parametrize("kind", ["paste", "drop"])
def test_paste_and_drop(page, kind):
    before = page.probabilities
    page.click('[data-picture="ship-0"]') if page("document.querySelector('[data-picture=\"ship-0\"]')") else None
    paste_or_drop(page, kind, "/pictures/cat.jpg")
    assert np.array_equal(page.probabilities, before)


def test_camera(page):
    before = page.probabilities
    page.click("#use-camera")
    page.until("document.querySelector('#camera video')?.videoWidth > 0")
    page.click("#take")
    page.until("explorer.state.picture === 'own'")
    page.settle()
    assert moved(page, before) and not page("document.getElementById('camera').open")
    page.press("#use-camera", keys().ENTER)
    page.until("document.getElementById('camera').open")
    from selenium.webdriver import ActionChains
    ActionChains(page.driver).send_keys(keys().ESCAPE).perform()
    page.until("!document.getElementById('camera').open")


def bad_files(folder):
    whole = CAT.read_bytes()
    (folder / "words.jpg").write_text("no picture at all, whatever the name says")
    (folder / "nothing.png").write_bytes(b"")
    (folder / "drawing.svg").write_text('<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>')
    (folder / "cut.jpg").write_bytes(whole[:200])
    Image.new("1", (8000, 5000)).save(folder / "huge.png")
    Image.new("RGB", (9, 9)).save(folder / "scan.tiff")
    return {"words.jpg": "is no picture that a browser can read", "nothing.png": "is empty (0 bytes)",
            "drawing.svg": "is an SVG drawing", "cut.jpg": "is damaged or cut short",
            "huge.png": "has 40 megapixels (8000 × 5000): the explorer takes up to 30",
            "scan.tiff": "is no picture that a browser can read"}


def test_bad_files_get_one_line(page, tmp_path):
    before = page.probabilities
    for name, message in bad_files(tmp_path).items():
        page.choose_file(tmp_path / name)
        assert page.find("#error").is_displayed() and page.error.startswith(f"{name} {message}"), page.error
        assert "\n" not in page.error and np.array_equal(page.probabilities, before)
    page.choose_file(CAT)
    assert not page.find("#error").is_displayed()


# The tour and the addresses.

def test_the_tour_to_its_end(page):
    page.click("#open-tour")
    lit = []
    for section in range(18):
        page.settle()
        assert page.find("#tour").is_displayed() and f"section={section}&" in page("location.hash")
        assert page.find("#tour .note").text == f"Step {section + 1} of 18: lesson {section}"
        lit.append(page("document.querySelector('.lit').dataset.part"))
        assert page("document.querySelectorAll('.lit').length") == 1 and len(page.find("#tour-text").text) > 60
        assert page("document.activeElement.id") == "tour-title"
        page.find("#tour-next").click()
    assert not page.find("#tour").is_displayed() and not page("document.querySelector('.lit')")
    assert set(lit) == {"network", "attention", "patches", "embedding", "positions", "trace", "mlp", "lens", "head",
                        "distance", "costs", "rollout"}


def test_the_tour_by_keyboard(page):
    page.press("#open-tour", keys().ENTER)
    page.press("#tour-next", keys().ENTER)
    page.press("#tour-next", keys().SPACE)
    assert page.state["section"] == 2
    page.press("#tour-back", keys().ENTER)
    assert page.state["section"] == 1
    page.press('#tour .dots button:nth-child(17)', keys().ENTER)
    assert page.state["section"] == 16
    page.press("#tour-close", keys().ENTER)
    assert page.state["section"] is None and page("document.activeElement.id") == "open-tour"
    page.press("#open-tour", keys().ENTER)
    page.press("#tour-next", keys().ESCAPE)
    assert not page.find("#tour").is_displayed()


def test_deep_links(page):
    page.open("#section=6&layer=3&head=1&patch=27")
    state = page.state
    assert (state["section"], state["layer"], state["head"], state["token"]) == (6, 3, 1, 28)
    assert page("document.querySelector('.lit').dataset.part") == "attention" and state["view"] == "attention"
    page.open("#section=16&patch=27")                                     # the tour's map, the address's patch
    assert (page.state["view"], page.state["token"]) == ("rollout", 28)
    page.open("#section=5")                                               # nothing named: the tour chooses
    assert page.state["token"] == 1
    page.open("#picture=ship-2&class=airplane&head=mean&patch=cls")
    state = page.state
    assert (state["picture"], state["label"], state["head"], state["token"]) == ("ship-2", 0, "mean", 0)
    assert not page.find("#tour").is_displayed()
    page.driver.execute_script("location.hash = 'section=9&layer=0&picture=cat-photo'")     # a link within the page
    page.until("explorer.state.section === 9 && explorer.state.picture === 'cat-photo'")
    page.settle()
    assert page("document.querySelector('.lit').dataset.part") == "lens"


def test_an_address_may_name_a_part_of_the_page(page):
    page.open("#part=backward&class=dog")
    assert abs(page("document.getElementById('part-backward').getBoundingClientRect().top") - 150) < 5
    assert page.state["label"] == 5 and not page.find("#tour").is_displayed()
    page.open("#part=" + '"]; * {')
    assert page("scrollY") == 0 and not page.error


@pytest.mark.parametrize("section", range(18))
def test_every_section_has_an_address(page, section):
    page.open(f"#section={section}&layer=2&head=3&patch=9")
    assert page.state["section"] == section and page.state["layer"] == 2 and page.state["token"] == 10


def test_addresses_that_make_no_sense(page):
    page.open(f"#section=99&layer={L}&head={H}&patch=1000&picture=unicorn-3&class=unicorn&x=%E0%A4%A")
    state = page.state
    assert [state[name] for name in ("section", "layer", "head", "token", "label")] == [None, L - 1, 0, 0, None]
    assert state["picture"] == "cat-photo" and not page.error
    page.open("#layer=-1&head=-1&patch=-1")
    assert [page.state[name] for name in ("layer", "head", "token")] == [L - 1, 0, 0] and not page.error


def test_a_prediction_handed_over(page, files, model):
    import minivit
    p = minivit.forward(minivit.samples.cifar10_test()[0][33], model)
    files["prediction.f32"] = np.ascontiguousarray(p.x, "<f4").tobytes()
    page.open("#picture=prediction")
    assert np.array_equal(page.trace["pixels"], p.x) and np.allclose(page.probabilities, p.probabilities, atol=1e-6)


# Everyone.

def test_everything_has_a_name_and_a_key(page):
    """What a screen reader hears: no control without a name. And the Tab key reaches every group of controls."""
    nodes = page.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles = ("button", "radio", "switch", "checkbox", "slider", "spinbutton", "link", "image", "group", "radiogroup")
    nameless = [n for n in nodes if not n["ignored"] and n.get("role", {}).get("value") in roles
                and not n.get("name", {}).get("value")]
    assert [n for n in nameless if n["role"]["value"] != "group"] == []
    from selenium.webdriver import ActionChains
    page.driver.execute_script("document.activeElement.blur()")
    seen = set()
    for _ in range(190):
        ActionChains(page.driver).send_keys(keys().TAB).perform()
        seen.add(page("""(() => { const e = document.activeElement;
            return e.id || e.name || Object.keys(e.dataset)[0] || e.className || e.textContent; })()"""))
    assert {"open-tour", "theme", "patch", "Map", "Tool", "class", "file", "use-camera", "picture", "Layer", "Head",
            "positions", "layer-on", "head-on", "temperature", "goto", "map", "token", "play", "matrix", "key", "step",
            "side"} <= seen, seen


@pytest.fixture
def windows(page):
    """The page in windows of any size."""
    yield lambda width, height: page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500})
    page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("place", ["", "#layer=3&head=1&patch=27", "#section=5&patch=27", "#section=16"])
def test_picture_and_answer_stand_in_the_window_uncut(page, windows, place):
    windows(1280, 900)
    page.open(place)
    assert page("document.getElementById('left').scrollHeight <= document.getElementById('left').clientHeight")
    assert page("document.getElementById('answer').getBoundingClientRect().bottom <= innerHeight")


@pytest.mark.parametrize("size", [(390, 844), (1280, 900), (1920, 1080)])
def test_the_tour_hides_nothing_of_what_it_talks_about(page, windows, size):
    """The part stands between what sticks to the upper edge and the tour: whole, or 0.38 of the window of it."""
    windows(*size)
    page.open("#section=0")
    for section in range(18):
        assert page.state["section"] == section
        part, tour, controls, top = page("""[".lit", "#tour", "#controls", ".top"].map((s) => {
            const { top, bottom } = document.querySelector(s).getBoundingClientRect(); return [top, bottom]; })""")
        above = max(top[1], controls[1] if size[0] >= 1000 else 0)
        assert part[0] >= above - 1, section
        assert part[0] + min(part[1] - part[0], 0.38 * size[1]) <= tour[0], section
        page.find("#tour-next").click()
        page.settle()


@pytest.mark.parametrize("width", [1280, 1920])
def test_where_to_look_and_what_to_switch_are_a_line_each(page, windows, width):
    windows(width, 900)
    page.open(f"#layer={L - 1}&head={H - 1}&patch={CONFIG.num_patches - 1}")
    heights = page("[...document.querySelectorAll('#controls .row')].map((e) => e.getBoundingClientRect().height)")
    assert len(heights) == 2 and max(heights) < 45


def test_the_maps_take_the_cards_width(page, windows):
    for width in (390, 1280, 1920):
        windows(width, 900)
        first, last, body = page("""[".column:first-child", ".column:last-child", "#part-network .body"].map((s) => {
            const { left, right } = document.querySelector(s).getBoundingClientRect(); return [left, right]; })""")
        assert [first[0], last[1]] == pytest.approx(body, abs=1)


@pytest.mark.parametrize("width", [320, 390, 700, 768, 1024, 1280, 1920])
def test_nothing_runs_out_of_the_window(page, windows, width):
    windows(width, 844)
    page.open("#section=6&patch=27")
    assert page("document.documentElement.scrollWidth") <= width
    page.click("#tour-close")
    page.click('[data-patch="10"]')
    assert page.state["token"] == 11


def test_dark_and_light(page):
    background = "getComputedStyle(document.body).backgroundColor"
    signed = "document.querySelector('.strip.query canvas').toDataURL()"
    light, strip = page(background), page(signed)
    page.click("#theme")
    assert page(background) != light and page(signed) != strip
    page.press("#theme", keys().ENTER)
    assert page(background) == light
