"""The exceptions under the name that the compatible API gives their module."""

from pyengine.errors import *  # noqa: F403
from pyengine.errors import __all__ as __all__  # noqa: PLC0414
