"""Processes that play, and where the trainer gets finished games from."""
