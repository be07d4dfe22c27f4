"""A server on loopback that speaks the Hugging Face hub's protocol as huggingface_hub asks it, and can fail as it can.

Written from the hub's documentation and from what huggingface_hub sends: HEAD and GET of OWNER/NAME/resolve/REVISION/
FILE, with a redirect to a store at another address for .safetensors files, ranges, and api/models/OWNER/NAME[/revision/
REVISION].
"""

import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

RESOLVE = re.compile(r"/([\w.-]+/[\w.-]+)/resolve/([^/]+)/(.+)")
API = re.compile(r"/api/models/([\w.-]+/[\w.-]+)(?:/revision/(.+))?")
STORE = re.compile(r"/store/([0-9a-f]{64})")


class HubServer:
    """models: {OWNER/NAME: {revision: commit}}. gated: {OWNER/NAME: the token that it wants}.

    cut: of the next answers from the store, how many bytes come before the connection breaks, one number an answer.
    short: how many bytes every file in the store lacks. status: what every request is answered with. asked: the
    requests.
    """

    def __init__(self):
        self.models, self.files, self.store, self.gated = {}, {}, {}, {}
        self.asked = []
        self.cut, self.short, self.status = [], 0, None
        self.ports = [0, 0]
        self.start()

    def start(self):
        handler = type("Handler", (Handler,), {"hub": self})
        self.servers = [ThreadingHTTPServer(("127.0.0.1", port), handler) for port in self.ports]
        self.ports = [server.server_port for server in self.servers]        # after a stop the same again
        for server in self.servers:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self):
        for server in self.servers:
            server.shutdown()
            server.server_close()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def store_address(self):
        return f"http://127.0.0.1:{self.ports[1]}"

    def push(self, name, folder, branch="main"):
        """A new commit of a folder's files; returns it."""
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        commit = hashlib.sha1(name.encode() + b"".join(n.encode() + files[n] for n in sorted(files))).hexdigest()
        self.files[commit] = files
        self.store |= {hashlib.sha256(content).hexdigest(): content for content in files.values()}
        self.models.setdefault(name, {}).update({branch: commit, commit: commit})
        return commit

    def fetched(self):
        """The names of the files whose content was asked for, and the list begun anew."""
        names = {content: name for files in self.files.values() for name, content in files.items()}
        found = [match[3] for method, path in self.asked if method == "GET" and (match := RESOLVE.fullmatch(path))]
        found += [names[self.store[match[1]]] for method, path in self.asked
                  if method == "GET" and (match := STORE.fullmatch(path))]
        self.asked.clear()
        return sorted(found)


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    hub = None

    def do_HEAD(self):
        hub = self.hub
        hub.asked.append((self.command, self.path))
        if hub.status:
            return self.refuse(hub.status)
        if match := STORE.fullmatch(self.path):
            return self.send_stored(hub.store[match[1]])
        match = RESOLVE.fullmatch(self.path) or API.fullmatch(self.path)
        if match is None:                                   # what huggingface_hub asks beside
            return self.refuse(404)
        name, revision = match[1], match[2] or "main"
        if name not in hub.models:
            return self.refuse(401, "RepoNotFound")         # as the hub answers who sends no token
        commit = hub.models[name].get(revision)
        if commit is None:
            return self.refuse(404, "RevisionNotFound")
        files = hub.files[commit]
        if len(match.groups()) == 2:
            about = {"id": name, "modelId": name, "sha": commit, "siblings": [{"rfilename": name} for name in files]}
            return self.answer(200, json.dumps(about).encode(), {"Content-Type": "application/json"})
        given = self.headers.get("Authorization")
        if name in hub.gated and given != f"Bearer {hub.gated[name]}":
            return self.refuse(403 if given else 401, "GatedRepo")
        if match[3] not in files:
            return self.refuse(404, "EntryNotFound", {"X-Repo-Commit": commit})
        content = files[match[3]]
        if match[3].endswith(".safetensors"):
            digest = hashlib.sha256(content).hexdigest()
            return self.answer(302, b"", {"Location": f"{hub.store_address}/store/{digest}", "X-Repo-Commit": commit,
                                          "X-Linked-Size": str(len(content)), "X-Linked-Etag": f'"{digest}"'})
        self.answer(200, content, {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": commit})

    do_GET = do_HEAD

    def send_stored(self, content):
        """The bytes from the store, from where the client wants them, as far as the server gets."""
        hub, start = self.hub, 0
        content = content[:len(content) - hub.short]
        status, headers = 200, {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "Accept-Ranges": "bytes"}
        if match := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
            start, status = int(match[1]), 206
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self.answer(status, content[start:], headers, hub.cut.pop(0) if hub.cut else None)

    def refuse(self, status, code=None, headers=None):
        about = {} if code is None else {"X-Error-Code": code}
        self.answer(status, b"{}", about | (headers or {}))

    def answer(self, status, content, headers, until=None):
        self.send_response(status)
        for key, value in {"Content-Length": str(len(content)), "Connection": "close", **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content[:until])
        self.close_connection = True

    def log_message(self, *args):
        """Nothing on stderr."""
