"""A real Chromium on the built site, and a server for it on this machine."""

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from chromium import chromium

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


@pytest.fixture(scope="session")
def driver():
    with chromium() as driver:
        driver.set_page_load_timeout(120)
        yield driver
