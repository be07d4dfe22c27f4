"""A headless Chromium that Selenium drives: for the explorer's tests and the site's."""

import os
import shutil
from contextlib import contextmanager


@contextmanager
def chromium(*arguments):
    """A WebDriver that logs the console and the network."""
    from selenium import webdriver
    options = webdriver.ChromeOptions()
    options.binary_location = _program("CHROMIUM", "chromium", "chromium-browser", "google-chrome")
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", *arguments):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    options.add_experimental_option("perfLoggingPrefs", {"enableNetwork": True, "enablePage": False})
    service = webdriver.ChromeService(_program("CHROMEDRIVER", "chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    try:
        yield driver
    finally:
        driver.quit()


def _program(variable, *names):
    """A program's path: what the environment says, or the first of these that is installed."""
    found = os.environ.get(variable) or next(filter(None, map(shutil.which, names)), None)
    assert found, f"none of {', '.join(names)} is installed: make explorer-env installs them"
    return found
