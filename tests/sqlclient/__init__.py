"""The functions for clients in SQL."""
