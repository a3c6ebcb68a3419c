"""A shop whose orders survive a crash: read workflows.py, run `python -m pyengine.examples.orders`."""
