"""The local web page of `selfplay serve`: play against players, look at runs and tournaments."""
