"""The built site in a browser: every page is free of errors and asks no other host; mathematics, figures, explorer.

SITE_SCREENSHOTS=FOLDER keeps a picture of each page at each width, light and dark.
"""

import json
import os
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.site
LITE = Path(__file__).parents[2] / "out" / "site" / "lite"
WIDTHS = (390, 1280, 1920)
PAGES = {
    "index": "index.html",
    "chapters": "notebooks/README.html",
    "chapter": "notebooks/05_attention.html",
    "mathematics": "notebooks/10_backward.html#layernorm-intermediates-first",
    "derivation": "docs/derivations/attention.html",
    "solutions": "notebooks/solutions/05_attention.html",
    "guide": "docs/performance.html",
    "reference": "api/attention.html",
    "answers": "api/answers.html",
    "gallery": "gallery.html",
    "card": "minivit/models/cifar10.html",
    "source": "source/minivit/softmax.py.html",
    "explorer": "explorer/index.html#section=6&layer=3&head=1&patch=27",
}


def ready(driver):
    """Whether everything on the page is loaded, typeset and computed."""
    return driver.execute_script("""
        if (document.readyState !== "complete") return false;
        if (location.pathname.includes("/explorer/")) return document.documentElement.dataset.busy === "no";
        if (document.querySelector("script[src*=mathjax]") && !globalThis.MathJax?.startup?.promise) return false;
        return [...document.querySelectorAll(".math")].every((m) => m.querySelector("mjx-container"));""")


def opened(driver, url):
    """Open a page and wait for it."""
    driver.get("about:blank")
    driver.get_log("browser")
    driver.get_log("performance")
    driver.get(url)
    end = time.monotonic() + 60
    while not ready(driver):
        assert time.monotonic() < end, f"{url} is still not ready"
        time.sleep(0.1)


def check_quiet(driver, address):
    """No error in the console, and no request to another host; each request was answered."""
    assert not [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
    sent = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    urls = [m["params"]["request"]["url"] for m in sent if m["method"] == "Network.requestWillBeSent"]
    assert urls and not [url for url in urls if not url.startswith((address, "blob:", "data:", "about:"))]
    answers = [m["params"]["response"] for m in sent if m["method"] == "Network.responseReceived"]
    assert not [answer["url"] for answer in answers if answer["status"] >= 400]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("page", PAGES)
def test_a_page_on_every_screen(driver, address, page, width, scheme):
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": width, "height": 1400 if width < 500 else 1100, "deviceScaleFactor": 1, "mobile": width < 500})
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [
        {"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": "reduce"}]})
    opened(driver, address + PAGES[page])
    check_quiet(driver, address)
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    red, green, blue = driver.execute_script(
        "return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)")
    assert (red + green + blue > 3 * 128) == (scheme == "light")
    if folder := os.environ.get("SITE_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        driver.save_screenshot(f"{folder}/{page}-{width}-{scheme}.png")


def test_mathematics_is_typeset_and_figures_are_drawn(driver, address):
    opened(driver, address + "notebooks/05_attention.html")
    assert driver.execute_script("return document.querySelectorAll('mjx-container').length") > 50
    assert not driver.execute_script("return document.querySelectorAll('mjx-merror').length")
    widths = driver.execute_script("return Array.from(document.querySelectorAll('article img'), (i) => i.naturalWidth)")
    assert len(widths) >= 5 and min(widths) > 100


def test_a_chapter_leads_to_its_notebook_its_solutions_and_its_place_in_the_explorer(driver, address):
    opened(driver, address + "notebooks/05_attention.html")
    links = driver.execute_script("return Array.from(document.querySelectorAll('.chapter-links a'), (a) => a.href)")
    notebook, explorer, solutions, *lite = links
    assert len(lite) == 2 * LITE.is_dir()
    assert notebook == address + "notebooks/05_attention.ipynb"
    assert solutions == address + "notebooks/solutions/05_attention.html"
    opened(driver, explorer)
    assert driver.execute_script("return [explorer.state.section, explorer.state.layer]")[0] == 6
    driver.execute_script("document.querySelector('nav[aria-label=Page] a[href=\"../index.html\"]').click()")
    end = time.monotonic() + 30
    while driver.current_url != address + "index.html":
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.skipif(not LITE.is_dir(), reason="the site was built without JupyterLite: make site-lite")
def test_a_badge_opens_its_chapter_in_jupyterlite(driver, address):
    """As far as its cells are shown. Its Python is Pyodide, which comes from another host and is not waited for."""
    opened(driver, address + "notebooks/05_attention.html")
    driver.execute_script("document.querySelector('.chapter-links a[href*=\"lite/\"]').click()")
    end = time.monotonic() + 120
    while not driver.execute_script("return document.querySelectorAll('.jp-Notebook .jp-Cell').length"):
        assert time.monotonic() < end
        time.sleep(0.5)
    assert "05_attention" in driver.execute_script("return document.body.innerText")


def test_the_search_finds_a_chapter(driver, address):
    opened(driver, address + "search.html?q=softmax")
    end = time.monotonic() + 30
    found = 0
    while found <= 5:                                            # they appear one after another
        assert time.monotonic() < end, found
        time.sleep(0.2)
        found = driver.execute_script("return document.querySelectorAll('#search-results li a').length")
    check_quiet(driver, address)
