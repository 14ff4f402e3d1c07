"""Tournaments: who meets whom, games played in several processes and kept as they end, ratings, and a report."""
