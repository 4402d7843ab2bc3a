"""The version, in one place: hatchling reads it, and so does the line that opens a log file."""

__version__ = "0.1.0"
