"""Random games against a game's promises: whether they hold (`promises`), and what observations hide (`ambiguity`)."""
