"""The scans of a JPEG file, found without decoding it (ITU-T T.81, annex B: the order of the markers).

A baseline JPEG has one scan, decoded row by row. With several, progressive or one a colour, the decoder holds the whole
image's coefficients, and goes over all of them in every scan: a scan of ten bytes can cost as much as one of a million.
"""

import re

# In coded data 00 follows a byte FF; RST0 to RST7 (D0 to D7) stand between its parts; more FF may precede a marker.
MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
START_OF_SCAN, END_OF_IMAGE = 0xDA, 0xD9
WITHOUT_LENGTH = (0x01, 0xD8)


def scans(content, all_of_them=True):
    """How many colour components each scan of a JPEG file's bytes holds; the first scan alone if not all_of_them."""
    found, place = [], 0
    while marker := MARKER.search(content, place):
        kind, place = content[marker.end() - 1], marker.end()
        if kind == END_OF_IMAGE:
            break
        if kind in WITHOUT_LENGTH:
            continue
        if kind == START_OF_SCAN:
            found += content[place + 2:place + 3]
            if not all_of_them:
                break
        place += max(2, int.from_bytes(content[place:place + 2], "big"))
    return found
