"""What every test gets: checked array shapes, one torch thread, reproducible hypothesis examples, no W&B."""

from __future__ import annotations

import os
from collections.abc import Iterator

import hypothesis
import jaxtyping
import pytest
import shape_checks

# In `nets` every annotation is checked, elsewhere those with shapes of arrays: types alone are mypy's to check.
jaxtyping.install_import_hook("nets", "beartype.beartype")
shape_checks.install(["games", "search", "selfplay"])

import torch  # noqa: E402  (after the hooks, which only see imports that follow them)

# Cores are shared with actor processes that tests start; two threads on a busy core are slower than one.
torch.set_num_threads(1)

os.environ["WANDB_MODE"] = "disabled"  # tests of W&B remove it

hypothesis.settings.register_profile("selfplay", deadline=None, derandomize=True)
hypothesis.settings.load_profile("selfplay")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip `gpu` tests where there is no CUDA device."""
    if torch.cuda.is_available():
        return
    skip = pytest.mark.skip(
        reason="no CUDA device: it needs an NVIDIA GPU with its driver, and a build of torch for CUDA"
    )
    for item in items:
        if "gpu" in item.keywords:
            item.add_marker(skip)


@pytest.fixture
def unchecked_shapes() -> Iterator[None]:
    """For tests of what a function itself says of a wrong shape."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
