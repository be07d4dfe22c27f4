"""The explorer: a page that runs the packaged model in the reader's browser, and the server that hands it out.

`page/` is the page itself, plain ES modules; it lies in the package so that every installation has it. `page_files.py`
puts it together with weights and pictures, `weights.py` makes the weights small, `serving.py` serves the whole.
"""
