"""The model child, which holds the weights, and its host in the daemon, which survives it."""
