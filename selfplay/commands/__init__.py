"""One module a command, each with `add_arguments(parser)` and `run(args, overrides) -> int`; see `selfplay.cli`."""
