"""Files that come with the program: settings, labelled positions and trained networks, by their names.

They lie in folders of the checkout, and `setup.py` puts them into a wheel, below this package. A command takes the name
of a file of settings or positions (`selfplay train connect_four`) where it takes a path. A trained network is a folder
like that of a run, and `pretrained:NAME` plays with it (`selfplay.players.pretrained`).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from selfplay.errors import UserError, did_you_mean

_HERE = Path(__file__).parent
_CHECKOUT = _HERE.parents[1]


@dataclass(frozen=True)
class Kind:
    """A folder of files that are called by name."""

    folder: str  # below this package in a wheel
    in_checkout: str  # from the root of the project
    suffix: str
    listed_by: str  # end of a sentence: where the names can be looked up

    def files(self) -> Mapping[str, Path]:
        """The files by name (the file's name without its suffix), in alphabetical order."""
        folder = _shipped_folder(self.folder, self.in_checkout)
        return {path.stem: path for path in sorted(folder.glob(f"*{self.suffix}"))}

    def find(self, path: Path | str) -> Path:
        """The file at `path`, or the shipped one with that name. A file that is there wins over a name.

        Raises:
            UserError: neither is there. Whether a file that is there can be read is for its reader to say.
        """
        path = Path(path)
        try:
            is_folder = stat.S_ISDIR(os.stat(path).st_mode)
        except FileNotFoundError:
            is_folder = False
        except (OSError, ValueError):  # such as a folder on the way that may not be entered
            return path
        else:
            if not is_folder:
                return path
        files = self.files()
        if is_folder or str(path) in files:
            return files.get(str(path), path)
        near = did_you_mean(path.stem, files) or f" ({self.listed_by})"
        raise UserError(f"{path}: cannot be read: No such file or directory, nor a shipped file of this name{near}")


SETTINGS = Kind("configs", "configs", ".yaml", "`selfplay configs` lists them")
POSITIONS = Kind("positions", "benchmarks/data", ".jsonl", "`selfplay evaluate --help` lists them")


def pretrained_runs() -> Mapping[str, Path]:
    """The folders of the trained networks by name, in alphabetical order."""
    folder = _shipped_folder("pretrained", "pretrained")
    return {path.parent.name: path.parent for path in sorted(folder.glob("*/config.yaml"))}


def _shipped_folder(in_wheel: str, in_checkout: str) -> Path:
    packaged = _HERE / in_wheel
    return packaged if packaged.is_dir() else _CHECKOUT / in_checkout


def first_comment(path: Path) -> str:
    """The first line of a file, without its comment sign."""
    with path.open(encoding="utf-8") as file:
        return file.readline().removeprefix("#").strip()
