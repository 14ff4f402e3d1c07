"""The network that a run starts with, where the setting `init` names one: that of another run, or one that comes with
the program.

In the flow: `train` records the source in config.yaml with its version, `check` refuses what does not fit before
anything is made, and the trainer loads it unless the run has a checkpoint of its own.
"""

from __future__ import annotations

from selfplay.algorithms.algorithm import Algorithm
from selfplay.config import reader
from selfplay.config.run import Config
from selfplay.errors import UserError
from selfplay.players.kinds import read_player
from selfplay.players.text import PlayerSpec, compose_player
from selfplay.players.trained import split_target
from selfplay.storage import checkpoint
from selfplay.storage.run_folder import RunFolder
from selfplay.storage.tensors import OtherNetworkError, check_weights


def initial_source(text: str) -> str:
    """The source as config.yaml records it: `RUN_DIR@VERSION`, or `pretrained:NAME`.

    `text` is `RUN_DIR[@VERSION]` or a player with a network. Raises UserError where there is no such run or version.
    """
    spec = _player(text)
    if spec is not None and not spec.kind.is_of_run:
        _find(spec.run)
        return compose_player(spec.kind.name, spec.target)
    folder, version = _find(text if spec is None else spec.run)
    return f"{folder.path}@{version}"


def read_initial(text: str) -> checkpoint.Checkpoint:
    """The checkpoint of a source. Raises UserError where it is missing or damaged."""
    spec = _player(text)
    folder, version = _find(text if spec is None else spec.run)
    return checkpoint.load(folder.checkpoints, version)


def check_initial(text: str, config: Config, algorithm: Algorithm) -> None:
    """Raise UserError with one line where the source does not fit the network of a run with `config`.

    It names the first tensor that differs, and what the source learned where that is something else.
    """
    source = read_initial(text)
    expected = {name: tuple(tensor.shape) for name, tensor in algorithm.make_net().state_dict().items()}
    try:
        check_weights(source.weights, expected, f"init: {text}")
    except OtherNetworkError as error:
        learned, learns = _learned(text), _lesson(config)
        if learned in (None, learns):
            raise
        raise UserError(f"{error}: it learned {learned}, and this run learns {learns}") from error


def _learned(text: str) -> str | None:
    """What a source learned, and by which algorithm; None where its settings cannot be read any more."""
    spec = _player(text)
    folder, _ = _find(text if spec is None else spec.run)
    try:
        return _lesson(reader.load(Config, folder.config))
    except UserError:
        return None


def _lesson(config: Config) -> str:
    return f"{config.environment or config.game} by {config.algorithm}"


def _player(text: str) -> PlayerSpec | None:
    """The player of a text; None for the folder of a run, which needs not be there if the text is no player's."""
    if split_target(text)[0].is_dir() or ":" not in text:
        return None
    return read_player(text)


def _find(target: str) -> tuple[RunFolder, int]:
    """The run of `RUN_DIR[@VERSION]` and the version, the newest if none is given. Raises UserError."""
    path, version = split_target(target)
    folder = RunFolder.open(path)
    present = checkpoint.versions(folder.checkpoints)
    if not present:
        raise UserError(f"init: {path} has no checkpoint yet")
    if version is not None and version not in present:
        raise UserError(f"init: {path} has no version {version}; it has {present[0]} to {present[-1]}")
    return folder, present[-1] if version is None else version
