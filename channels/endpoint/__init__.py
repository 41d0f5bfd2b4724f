"""The endpoint: the port that a node listens on, and what is served there."""
