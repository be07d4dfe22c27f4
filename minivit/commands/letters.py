"""Text for terminals that lack a letter: √d becomes sqrt(d), ᵀ becomes ^T, and never "?" or an error.

    sys.stdout.reconfigure(errors=ERRORS)

Windows' code page 1252 has no √, and ASCII no ². What has no likeness in ASCII, as a file's name may, is written as
Python escapes it.
"""

import codecs
import re
import sys
import unicodedata

ERRORS = "minivit.letters"

LIKE = {"·": "*", "×": "x", "−": "-", "–": "-", "—": "-", "‘": "'", "’": "'", "“": '"', "”": '"', "‖": "||", "∂": "d",
        "≤": "<=", "≥": ">=", "≈": "~", "±": "+-", "→": "->", "←": "<-", "∞": "inf", "µ": "u", "°": " deg", "√": "sqrt",
        "\u0302": "^"}
ROOT = re.compile(r"√(\w+)")


def as_printed(text):
    """The text as standard output will show it, for columns to be measured by."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, ERRORS).decode(encoding)


def in_ascii(text):
    """The text in letters that every terminal has."""
    text = ROOT.sub(r"sqrt(\1)", text)
    return "".join(_like(letter, before) for before, letter in zip(" " + text, text))


def _like(letter, before):
    """One letter in ASCII; `before` it stands another, whose sign for a raised or lowered letter serves both."""
    if letter.isascii():
        return letter
    if letter in LIKE:
        return LIKE[letter]
    kind, *parts = unicodedata.decomposition(letter).split() or [""]
    if kind in ("<super>", "<sub>"):
        sign = "" if unicodedata.decomposition(before).startswith(kind) else "^" if kind == "<super>" else "_"
        return sign + in_ascii("".join(chr(int(part, 16)) for part in parts))
    plain = "".join(part for part in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(part))
    if plain != letter:
        return in_ascii(plain)
    greek = re.fullmatch(r"GREEK (SMALL|CAPITAL) LETTER (\w+)", unicodedata.name(letter, ""))
    if greek:
        return greek[2].lower() if greek[1] == "SMALL" else greek[2].capitalize()
    return letter.encode("ascii", "backslashreplace").decode("ascii")


def _replace(error):
    """What an encoding lacks, in ASCII, and where to go on: after a root's argument, which goes into its brackets."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    root = ROOT.match(error.object, error.end - 1)
    end = root.end() if root else error.end
    return in_ascii(error.object[error.start:end]), end


codecs.register_error(ERRORS, _replace)
