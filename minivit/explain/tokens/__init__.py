"""[CLS] and positions: what one token gathers, and how a token knows where it came from."""
