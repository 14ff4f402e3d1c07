"""The limited child process of `load.py`: build one OpenSpiel game, play a few moves, say what went wrong.

Run as `python -P child.py NAME PARAMETERS-AS-JSON`. Some parameters make OpenSpiel hang, eat all memory or
crash, so they are tried here first, under limits on memory and processor time. Exit status 0: the game plays.
Status 1: it does not, and standard output has the reason in one line. Anything else: the limits or a crash ended it.
"""

import contextlib
import json
import random
import resource
import sys

MAX_MEMORY = 4 << 30
MAX_CPU_SECONDS = 3
MAX_OBSERVATION = 1_000_000
MAX_ACTIONS = 100_000
PLIES = 100


def main() -> None:
    for limit, value in ((resource.RLIMIT_AS, MAX_MEMORY), (resource.RLIMIT_CPU, MAX_CPU_SECONDS)):
        with contextlib.suppress(ValueError, OSError):  # not every system has every limit
            resource.setrlimit(limit, (value, value))
    try:
        complaint = try_out(sys.argv[1], json.loads(sys.argv[2]))
    except MemoryError:
        complaint = f"needs more than {MAX_MEMORY >> 30} GiB of memory"
    except Exception as error:
        complaint = (str(error) or type(error).__name__).splitlines()[0]
    print(complaint)
    sys.exit(1 if complaint else 0)


def try_out(name: str, parameters: dict[str, object]) -> str:
    """Play the start of a random game. Returns what is wrong, or an empty string."""
    import pyspiel  # after the limits are set

    game = pyspiel.load_game(name, parameters)
    if game.num_distinct_actions() > MAX_ACTIONS:
        return f"has {game.num_distinct_actions()} actions, more than {MAX_ACTIONS}"
    has_tensor = game.get_type().provides_observation_tensor
    if has_tensor:
        shape = game.observation_tensor_shape()
        if min(shape) < 1 or game.observation_tensor_size() > MAX_OBSERVATION:
            return f"has an observation of shape {shape}, which is empty or too large"
    state, rng = game.new_initial_state(), random.Random(0)
    for _ in range(PLIES):
        if state.is_terminal():
            break
        if not state.legal_actions():
            return "has a position without a legal move"
        if has_tensor:
            state.observation_tensor(max(0, state.current_player()))
        state.clone()
        state.apply_action(rng.choice(state.legal_actions()))
    return "" if state.history() else "has no moves"


if __name__ == "__main__":
    main()
