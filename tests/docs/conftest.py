"""Registers the mark of the tests that take long."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: real processes; left out by -m 'not slow'")
