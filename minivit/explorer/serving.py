"""The explorer's web server, on this machine alone, and `minivit.explore(p)`."""

import threading
import webbrowser
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from ..engine.devices import to_device
from ..prediction import Prediction
from .page_files import check_computable, page_files

LOOPBACK = "127.0.0.1"
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8",
         ".css": "text/css; charset=utf-8",
         ".svg": "image/svg+xml", ".png": "image/png", ".jpg": "image/jpeg"}


def explore(prediction: Prediction, browser: bool = True) -> str:
    """Open the explorer in the browser on a prediction's picture. Returns its address, which is also printed.

    prediction: what `minivit.forward` returned, for one image. Its prepared pixels and its model's weights, exact in
    float32, go to the page through a server of this process on 127.0.0.1, which ends with the process; nothing leaves
    the machine. browser: False to print the address only. Raises ValueError for a batch, a model without classes, a
    relative, or a preprocessing that the page lacks.
    """
    if not isinstance(prediction, Prediction):
        raise ValueError(f"explore shows what minivit.forward returned, found {type(prediction).__name__}")
    if len(prediction) != 1:
        raise ValueError(f"the explorer shows one image, found a batch of {len(prediction)}: explore(p[0])")
    _check(prediction.model)
    files = page_files(prediction.model.to("cpu"), "float32")
    files["prediction.f32"] = np.ascontiguousarray(to_device(prediction.x, "cpu"), "<f4").tobytes()
    server = start(files)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return _open(address(server) + "#picture=prediction", browser)


def serve(model, port=0, browser=True, place=""):
    """Serve the explorer with a model until Ctrl-C. port: 0 for any that is free. Raises ValueError, OSError.

    place: where it opens, "#section=6&layer=3".
    """
    _check(model)
    with start(page_files(model), port) as server:
        _open(address(server) + place, browser)
        server.serve_forever()


def start(files, port=0):
    """A server of {path: bytes} on 127.0.0.1, not yet serving. Raises OSError where the port is taken."""
    try:
        server = ThreadingHTTPServer((LOOPBACK, port), partial(Handler, files))
    except OSError as error:
        raise OSError(f"port {port} of {LOOPBACK} cannot be had: {error.strerror}; leave --port out for a free one") \
            from None
    server.daemon_threads = True
    return server


def address(server):
    """http://127.0.0.1:PORT/ of a server."""
    return f"http://{LOOPBACK}:{server.server_address[1]}/"


class Handler(BaseHTTPRequestHandler):
    """Answers GET for the files it was given, by name: no other path exists, so none leads out of them."""

    protocol_version = "HTTP/1.1"

    def __init__(self, files, *args):
        self.files = files
        super().__init__(*args)

    def do_GET(self):
        """A file, or 404. A request under another host's name is refused: a page elsewhere cannot read ours."""
        host = self.headers.get("Host", "").rpartition(":")[0]
        path = self.path.partition("?")[0].lstrip("/") or "index.html"
        if host not in (LOOPBACK, "localhost"):
            return self._answer(403, b"this server answers this machine only", "text/plain")
        if path not in self.files:
            return self._answer(404, b"no such file", "text/plain")
        ending = "." + path.rpartition(".")[2]
        return self._answer(200, self.files[path], TYPES.get(ending, "application/octet-stream"))

    do_HEAD = do_GET

    def _answer(self, status, body, content_type):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-cache")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        """Quiet."""


def _open(url, browser):
    print(f"The explorer is at {url}", flush=True)
    if browser:
        webbrowser.open(url)
    return url


def _check(model):
    if not model.config.num_classes:
        raise ValueError("the explorer shows how an answer comes about: it needs a model with a head")
    check_computable(model)
