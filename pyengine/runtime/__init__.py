"""The moving parts of a process: gateway, drivers, waits, listener, dispatcher, maintenance, lifecycle."""
