"""The explorer's page in a browser, and what its tests measured."""

import base64
import itertools
import json
import time
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

import minivit
from minivit.checkpoints.native import KEY, describe
from minivit.explorer.weights import decode

OPENED = itertools.count()
MEASURED = {"parity": {}, "change": {}}           # what the tests saw, printed at the end: no test depends on a time


def served_model(data, like, folder):
    """A VisionTransformer of the weights that the page decodes from `data`."""
    path = Path(folder) / "decoded.safetensors"
    save_file(decode(data), path, metadata={KEY: json.dumps(describe(like))})
    return minivit.load(path)


class Page:
    """The page in the browser. `page("…script…")` returns a script's value; elements are found by CSS selectors."""

    def __init__(self, driver, address):
        self.driver, self.address = driver, address

    def open(self, address=""):
        """Load the page anew: another query makes another page of it, in the browser's same process."""
        self.driver.get(f"{self.address}?{next(OPENED)}{address}")
        self.settle()
        return self

    def __call__(self, script, *arguments):
        return self.driver.execute_script(f"return {script}", *arguments)

    def settle(self):
        """Wait, within the page, until the last change is computed and drawn."""
        is_settled = self.driver.execute_async_script("""
            const done = arguments[arguments.length - 1], root = document.documentElement;
            const look = () => root.dataset.busy === "no" && done(true);
            new MutationObserver(look).observe(root, {attributes: true});
            look();
            setTimeout(() => done(false), 50000);""")
        assert is_settled, f"still busy; error: {self.error}"

    def until(self, condition, timeout=30):
        end = time.monotonic() + timeout
        while not self(condition):
            assert time.monotonic() < end, f"still not true after {timeout} s: {condition}; error: {self.error}"
            time.sleep(0.02)

    @property
    def error(self):
        return self("document.getElementById('error').textContent")

    @property
    def state(self):
        return self("""JSON.parse(JSON.stringify(explorer.state,
            (_, v) => v instanceof Set ? [...v] : v instanceof Map ? [...v] : v))""")

    @property
    def probabilities(self):
        return np.array(self("Array.from(explorer.trace.probabilities.data)"))

    def find(self, selector):
        from selenium.webdriver.common.by import By
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def at(self, selector):
        """An element in the middle of the window, clear of what sticks to its edges."""
        element = self.find(selector)
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element)
        return element

    def click(self, selector):
        self.at(selector).click()
        self.settle()

    def press(self, selector, *keys):
        """Keys, to an element that has the focus."""
        from selenium.webdriver import ActionChains
        self.driver.execute_script("arguments[0].focus()", self.find(selector))
        ActionChains(self.driver).send_keys(*keys).perform()
        self.settle()

    def choose_file(self, path):
        """Open a picture file as a reader does. Returns once it is computed, or refused."""
        self.driver.execute_script("document.getElementById('error').hidden = true; explorer.before = explorer.base")
        self.find("#file").send_keys(str(path))
        self.until("explorer.base !== explorer.before || !document.getElementById('error').hidden")
        self.settle()

    def arrays(self, script):
        """{name: array} of a script that yields {name: {data, shape}}, in an async function."""
        text = self.driver.execute_async_script("""
            const done = arguments[arguments.length - 1];
            (async () => { BODY })().then((steps) => {
                const names = Object.keys(steps), reader = new FileReader();
                reader.onload = () => done([names.map((n) => [n, steps[n].shape]), reader.result.split(",")[1]]);
                reader.readAsDataURL(new Blob(names.map((n) => steps[n].data)));
            }).catch((error) => done([String(error), ""]));""".replace("BODY", script))
        shapes, data = text
        assert isinstance(shapes, list), shapes
        numbers = np.frombuffer(base64.b64decode(data), "<f4")
        ends = np.cumsum([int(np.prod(shape)) for _, shape in shapes])
        return {name: part.reshape(shape) for (name, shape), part in zip(shapes, np.split(numbers, ends[:-1]))}

    @property
    def trace(self):
        return self.arrays("return explorer.trace")

    @property
    def gradient(self):
        """(label, dL/dpixels (1, H, W, 3)) of the backward pass that the page shows."""
        image = self.arrays("""const {height, width} = explorer.size;
            return {image: {data: explorer.gradient.image, shape: [1, height, width, 3]}}""")["image"]
        return self("explorer.gradient.label"), image
