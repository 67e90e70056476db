"""From a file in the inbox to a recording: found, settled, copied, entered, and only then removed."""
