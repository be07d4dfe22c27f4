"""Numbers from outside: configuration files, metadata, options. Each is checked for type and range before it is used.

True is no 1 here, and a text no number: what JSON allows in a number's place would surface much later, as a wrong
result or as an error that names neither the file nor the setting.
"""

from numbers import Real

INF = float("inf")


def whole(name, value, low, high):
    """The value, a whole number from low to high. Raises ValueError that names it."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{name} is a whole number from {low:,} to {high:,}, found {shown(value)}")
    return value


def real(name, value, low, high):
    """The value as a float, a finite number from low to high. Raises ValueError that names it."""
    if isinstance(value, bool) or not isinstance(value, Real) or not low <= value <= high or value in (INF, -INF):
        raise ValueError(f"{name} is a number from {low:g} to {high:g}, found {shown(value)}")
    return float(value)


def shown(value):
    """repr(value), shortened; a whole number may have more digits than Python writes."""
    try:
        text = repr(value)
    except ValueError:
        return "a number of very many digits"
    return text if len(text) <= 60 else f"{text[:60]}…"
