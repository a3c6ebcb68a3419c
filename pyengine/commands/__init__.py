"""The commands of the command line, one module each; `pyengine.cli` lists them."""
