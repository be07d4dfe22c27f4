"""The errors that users meet. Each message says what was found, what was expected, and what to do."""

import re

LONGEST_WORD = 200          # of a message: a name may have any length


def plain(text):
    """A text as one line for a terminal: what is not printable becomes its escape, very long words are shortened.

    Names in files and of files may hold line breaks, or codes that a terminal would obey.
    """
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))
    return re.sub(rf"\S{{{LONGEST_WORD + 1},}}", lambda word: f"{word[0][:120]}…{word[0][-60:]}", shown)


def encodable(text):
    """A text that UTF-8 can hold: bytes of a file's name that are no text, surrogates in Python, become escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


class InputError(ValueError):
    """An error in what was given; its message is plain."""

    def __init__(self, message):
        super().__init__(plain(message))


class ImageError(InputError):
    """This cannot be read as an image."""


class CheckpointError(InputError):
    """This cannot be read as the weights of a Vision Transformer."""
