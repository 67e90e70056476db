"""Trends over evaluations, and what the service itself saw."""
