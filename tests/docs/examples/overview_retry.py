# mypy: ignore-errors
# fmt: off
"""Copied from the documents; only the import is changed."""

from pyengine import DBOS
@DBOS.step(retries_allowed=True, max_attempts=10)
def unreliable_api_call(url: str) -> str:
    response = requests.get(url)
    response.raise_for_status()
    return response.text
