"""Any image becomes a normalised array: decoding a file, resizing, cropping, scaling to numbers."""
