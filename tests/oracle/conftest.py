"""Fixtures of the oracle tests. They run under `make test`, which builds arrayctl and names it in BLOCKWISE_ARRAYCTL."""

import pytest
from driver import ROOT, arrayctl_path


def pytest_sessionstart(session):
    try:
        arrayctl_path()
    except RuntimeError as absent:  # an error before any test, never a skip
        raise pytest.UsageError(str(absent)) from None


@pytest.fixture(scope="session")
def coads():
    """NOAA's COADS climatology, NetCDF classic."""
    return ROOT / "examples" / "data" / "coads_climatology.cdf"
