"""An authorization server whose key is made once."""

import pytest
from support.issuer import Issuer


@pytest.fixture(scope="session")
def issuer() -> Issuer:
    made = Issuer()
    made.add_key("one")
    return made
