"""Games as text that other programs write and read: SGF for Go, PGN for chess.

In the flow: tournaments write their games with it (`selfplay.tournament.notation`), the page reads what is pasted
(`selfplay.web.pasted`). `sgf` and `pgn` know the formats and no game; `go` and `chess` know the games.
"""
