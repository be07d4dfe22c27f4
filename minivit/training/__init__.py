"""From random weights to a working classifier, with nothing but this package."""
