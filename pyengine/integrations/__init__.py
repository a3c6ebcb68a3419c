"""What needs another package: imported only when it is asked for."""
