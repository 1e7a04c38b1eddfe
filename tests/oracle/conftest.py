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


FIGURES = pytest.StashKey[list]()


def pytest_configure(config):
    config.stash[FIGURES] = []


@pytest.fixture
def figure(request):
    """Takes (name, survived, tried), to be printed at the end; fails where not all survived, or none was tried."""

    def take(name, survived, tried):
        request.config.stash[FIGURES].append(f"{name}: {survived}/{tried}")
        assert survived == tried > 0, f"{name}: {survived}/{tried}"

    return take


def pytest_terminal_summary(terminalreporter, config):
    if config.stash[FIGURES]:
        terminalreporter.section("figures: survived/tried")
        for line in config.stash[FIGURES]:
            terminalreporter.write_line(line)
