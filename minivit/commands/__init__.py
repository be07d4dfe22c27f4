"""The commands of `minivit`, a module each: add_to(commands) says what it takes, run(options) does it.

To add one, write such a module and add its name to COMMANDS in `cli.py`. NumPy, and whatever imports it, is
imported inside run: so `minivit --help` is instant, and the BLAS kernel is chosen before NumPy is loaded.
"""
