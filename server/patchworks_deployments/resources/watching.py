"""Who watches which URI, found by what a write tells of."""

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress

from patchworks_deployments.caller import Shares
from patchworks_deployments.errors import InvalidArgument
from patchworks_deployments.resources.uris import Told, Watch, watch_of

MAX_WATCHED, MAX_WATCHED_BY_ONE = 10_000, 500
"""URIs watched in all, and by one caller."""

Hear = Callable[[str], None]
"""Is told of a watched URI that has changed; never waits."""

Ear = tuple[str | None, Hear]
"""Whose changes are heard, as a `caller_tag`, and who hears."""


class Watchers:
    """Who watches which URI."""

    def __init__(self) -> None:
        self.shares = Shares(
            "watched URIs",
            MAX_WATCHED_BY_ONE,
            MAX_WATCHED,
            "Watch a listing instead of many deployments, or stop watching what is not needed.",
        )
        self._ears: dict[str, dict[object, Ear]] = {}
        self._places: dict[str, dict[str, Watch]] = {}

    def watchable(self, wanted: Collection[str]) -> dict[str, Watch]:
        """Those of the URIs that are a resource's. Raises `MCPError` where one caller may not watch so many."""
        if len(wanted) > MAX_WATCHED_BY_ONE:
            self.shares.refuse()
        found = {}
        for uri in wanted:
            with suppress(InvalidArgument):
                found[uri] = watch_of(uri)
        return found

    def add(self, watched: Mapping[str, Watch], ear: Ear) -> Callable[[], None]:
        """Watch these URIs, for which there is a share, until the returned function is called."""
        token = object()
        for uri, watch in watched.items():
            self._ears.setdefault(uri, {})[token] = ear
            for place in watch.places:
                self._places.setdefault(place, {})[uri] = watch

        def remove() -> None:
            for uri, watch in watched.items():
                self._remove(uri, watch, token)

        return remove

    def _remove(self, uri: str, watch: Watch, token: object) -> None:
        del self._ears[uri][token]
        if self._ears[uri]:
            return
        del self._ears[uri]
        for place in watch.places:
            del self._places[place][uri]
            if not self._places[place]:
                del self._places[place]

    def of(self, told: Told, made_by: str | None) -> list[tuple[str, Hear]]:
        """Each who has to hear, with the URI to tell; looked up, so that the number of the others costs nothing."""
        found = dict.fromkeys(
            uri for place in told.places for uri, watch in self._places.get(place, {}).items() if told.concerns(watch)
        )
        return [(uri, hear) for uri in found for tag, hear in self._ears[uri].values() if tag == made_by]
