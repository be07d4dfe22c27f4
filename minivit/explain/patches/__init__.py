"""An image as patches: what a patch sees, how pixels become a sequence, which patterns its filters let through."""
