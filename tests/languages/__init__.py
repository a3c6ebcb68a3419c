"""Workers and clients in several languages, on one engine."""
