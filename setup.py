"""The packages of the project; everything else about it is in pyproject.toml.

Folders that stand at their own places in the project become packages of data below `selfplay.shipped`, which finds them
in either place. `package_dir` copies nothing within the project.
"""

from setuptools import find_namespace_packages, setup

CODE = ["selfplay*", "games*", "search*", "nets*"]
DATA = {
    "selfplay.shipped.configs": "configs",
    "selfplay.shipped.positions": "benchmarks/data",
    "selfplay.shipped.pretrained": "pretrained",
}

setup(
    packages=[*find_namespace_packages(include=CODE, exclude=["*.__pycache__"]), *DATA],
    package_dir=DATA,
)
