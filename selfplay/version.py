"""The version of the program, apart from the package so that nobody imports that for it."""

__version__ = "0.1.0"
