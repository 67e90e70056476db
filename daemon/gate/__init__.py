"""The gate: a candidate and what serves, measured over the path that serves, judged, filed."""
