"""What every test gets: checked array shapes, one torch thread, reproducible hypothesis examples."""

from __future__ import annotations

import hypothesis
import jaxtyping
import pytest

# Packages whose jaxtyping annotations are checked at every call. Functions jitted by Numba must stay out: the hook
# would wrap what Numba compiles.
CHECKED_PACKAGES = ["nets"]

jaxtyping.install_import_hook(CHECKED_PACKAGES, "beartype.beartype")

import torch  # noqa: E402  (after the hook, which only sees imports that follow it)

# Cores are shared with actor processes that tests start; two threads on a busy core are slower than one.
torch.set_num_threads(1)

hypothesis.settings.register_profile("selfplay", deadline=None, derandomize=True)
hypothesis.settings.load_profile("selfplay")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip `gpu` tests where there is no CUDA device."""
    if torch.cuda.is_available():
        return
    skip = pytest.mark.skip(reason="no CUDA device")
    for item in items:
        if "gpu" in item.keywords:
            item.add_marker(skip)
