"""What every test shares: types checked at run time, tiers marked by folder, no network."""

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import jaxtyping
import pytest
from jaxtyping import install_import_hook

import tests.shapes

os.environ.setdefault("OMP_NUM_THREADS", "1")  # several workers share the cores
os.environ.setdefault("HF_HUB_OFFLINE", "1")

# before the first import of the package; the hook looks the checker up by this name
install_import_hook("dexar_widgets", f"{tests.shapes.__name__}.check_shapes")

TESTS = Path(__file__).parent
TIERS = {"unit", "contract", "golden", "browser", "notebooks", "packaging"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with its tier, the folder that it lies in."""
    for item in items:
        tier = item.path.relative_to(TESTS).parts[0]
        if tier in TIERS:
            item.add_marker(tier)


@pytest.fixture
def unchecked_shapes() -> Iterator[None]:
    """No check of shapes during the test, as outside the tests: for errors about wrong arrays."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(autouse=True)
def quiet_undone() -> Iterator[None]:
    """A command run inside a test makes its process quiet; the next test finds it as it was."""
    levels = {name: logging.getLogger(name).level for name in ("dexar_widgets", "torch.utils._pytree", "torchao")}
    yield
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    if "transformers" in sys.modules:
        sys.modules["transformers"].utils.logging.enable_progress_bar()
