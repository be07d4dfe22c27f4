"""A real Chromium on the explorer's page, and the model that holds the very numbers the page computes with."""

import json
import threading

import numpy as np
import pytest
from chromium import chromium
from explorer_page import MEASURED, Page, served_model

import minivit
from minivit.explorer import page_files, serving


@pytest.fixture(scope="session")
def files():
    """What the server hands out: a test may add to it."""
    return page_files.page_files(minivit.load())


@pytest.fixture(scope="session")
def model(files, tmp_path_factory):
    return served_model(files["model.safetensors"], minivit.load(), tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def address(files):
    with serving.start(files) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield serving.address(server)
        server.shutdown()


@pytest.fixture
def modules(driver, address, files):
    """An empty page beside the explorer's modules, for scripts that import these."""
    files["empty.html"] = b"<!doctype html><title>empty</title>"
    driver.get(address + "empty.html")
    return Page(driver, address)


@pytest.fixture(scope="session")
def driver():
    with chromium("--window-size=1280,900", "--use-fake-device-for-media-stream",
                  "--use-fake-ui-for-media-stream") as driver:
        driver.set_script_timeout(60)
        yield driver


@pytest.fixture
def page(driver, address):
    """The page, freshly opened. Afterwards: nothing was asked of another host, and the console has no error."""
    driver.get_log("browser")
    driver.get_log("performance")
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia",
                           {"features": [{"name": "prefers-reduced-motion", "value": "reduce"}]})
    yield Page(driver, address).open()
    complaints = [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
    assert not complaints
    sent = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    urls = [m["params"]["request"]["url"] for m in sent if m["method"] == "Network.requestWillBeSent"]
    assert urls
    assert not [url for url in urls if not url.startswith((address, "blob:", "data:", "about:"))]


def pytest_sessionfinish(session):
    """A worker of pytest-xdist hands over what it measured."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["measured"] = {part: dict(rows) for part, rows in MEASURED.items()}


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """What a worker measured joins the rest."""
    measured = getattr(node, "workeroutput", {}).get("measured", {})
    for name, value in measured.get("parity", {}).items():
        MEASURED["parity"][name] = max(value, MEASURED["parity"].get(name, 0))
    for name, values in measured.get("change", {}).items():
        MEASURED["change"].setdefault(name, []).extend(values)


def pytest_terminal_summary(terminalreporter):
    """The parity table's largest differences, and milliseconds a change."""
    say = terminalreporter.write_line
    if MEASURED["parity"]:
        say("")
        say("largest relative difference from minivit, over all pictures, by step (over all layers):")
        for name, value in MEASURED["parity"].items():
            say(f"  {name:24} {value:.1e}")
    for name, values in MEASURED["change"].items():
        say(f"  {name:24} {np.median(values):4.0f} ms a change (median of {len(values)}; slowest {max(values):.0f})")
