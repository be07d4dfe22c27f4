"""The faults, a file for each folder of minivit."""
