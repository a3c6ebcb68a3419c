"""pyengine's own worker."""
