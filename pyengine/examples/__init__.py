"""Programs to read and run: `python -m pyengine.examples.orders`."""
