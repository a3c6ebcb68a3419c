"""The version of the library, in the one place that packaging and the schema runner both read."""

__version__ = "0.1.0"
