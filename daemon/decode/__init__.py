"""The decode server, which forks a child for every hostile file, and its host in the daemon."""
