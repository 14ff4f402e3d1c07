"""Other programs: engines that speak GTP or UCI as players, our players in programs that speak these, and in OpenSpiel.

`process` talks to a child process in lines; `gtp` and `uci` are the protocols; `gtp_player` and `uci_player` are
players of `selfplay.players.kinds`; `gtp_server` and `uci_server` stand behind `selfplay gtp` and `selfplay uci`;
`openspiel_bot` is for OpenSpiel's own evaluation code. docs/engines.md says how they are used.
"""
