"""A real Chromium on the built site, and a server for it on this machine."""

import os
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

BUILT = Path(__file__).parents[2] / "out" / "site"


class Quiet(SimpleHTTPRequestHandler):
    """Python's own server of a folder, without its log."""

    def log_message(self, *_):
        """Nothing."""


@pytest.fixture(scope="session")
def address():
    assert (BUILT / "index.html").is_file(), "the site is not built: make site"
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(BUILT))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def program(variable, *names):
    """A program's path: what the environment says, or the first of these that is installed."""
    found = os.environ.get(variable) or next(filter(None, map(shutil.which, names)), None)
    assert found, f"none of {', '.join(names)} is installed: make explorer-env installs them"
    return found


@pytest.fixture(scope="session")
def driver():
    from selenium import webdriver
    options = webdriver.ChromeOptions()
    options.binary_location = program("CHROMIUM", "chromium", "chromium-browser", "google-chrome")
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    options.add_experimental_option("perfLoggingPrefs", {"enableNetwork": True, "enablePage": False})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(program("CHROMEDRIVER", "chromedriver")))
    driver.set_page_load_timeout(120)
    yield driver
    driver.quit()
