"""Other programs as players: engines that speak GTP or UCI.

`process` talks to a child process in lines; `gtp` and `uci` are the protocols; `gtp_player` and `uci_player` are
players of `selfplay.players.kinds`. Our players in other programs are in `selfplay.servers`; docs/engines.md has
examples.
"""
