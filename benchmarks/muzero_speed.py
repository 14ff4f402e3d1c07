"""Steps of the search that a MuZero network makes in a second on one core, by number type.

python benchmarks/muzero_speed.py configs/connect_four_muzero.yaml
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from nets.inference import one_thread
from nets.world_inference import DTYPES, WorldInference
from selfplay.algorithms.muzero import MuZero
from selfplay.algorithms.networks import CALIBRATION_POSITIONS
from selfplay.config import reader
from selfplay.config.run import Config
from selfplay.experience.openings import random_observations


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    config = reader.load(Config, parser.parse_args().config)
    one_thread()
    algorithm = MuZero(config)
    seen = random_observations(algorithm.game, CALIBRATION_POSITIONS, np.random.default_rng(0))
    for dtype in DTYPES:
        made = WorldInference(
            algorithm.net_config, algorithm.sizes, dtype=dtype, measure_seconds=30.0, calibration=seen
        )
        print(f"{dtype}: {made.describe()['positions_per_second']:,.0f} steps/s in batches of 256", flush=True)


if __name__ == "__main__":
    main()
