"""What is made once for all: a server that nothing changes, and an authorization server with its key."""

from collections.abc import Iterator

import pytest
from support.issuer import Issuer
from support.team import Served, serving, tokens_file


@pytest.fixture(scope="session")
def issuer() -> Issuer:
    made = Issuer()
    made.add_key("one")
    return made


@pytest.fixture(scope="session")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server for those with a token; whoever uses it writes nothing."""
    with serving("--sandbox", "--tokens-file", tokens_file(tmp_path_factory.mktemp("closed"))) as served:
        yield served
