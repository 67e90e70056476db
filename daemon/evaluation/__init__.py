"""Evaluations: planned, run on the path that serves, resumed, filed."""
