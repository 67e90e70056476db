"""The programs that are compared, each loaded with the same weights in a process of its own."""
