"""Which writes ask, and whom."""

import unicodedata
from dataclasses import dataclass
from typing import Literal

from patchworks_deployments.model import rendering
from patchworks_deployments.model.text import clean_text
from patchworks_deployments.settings import Settings
from patchworks_deployments.writes.plan import AnyPlan, Risk


@dataclass(frozen=True)
class Policy:
    """Which writes ask, and whom."""

    confirm: Literal["destructive", "all"]
    confirm_by: Literal["auto", "human", "code"]
    protected: frozenset[str]

    @classmethod
    def from_settings(cls, settings: Settings) -> "Policy":
        """The policy that the settings name; environments are compared as `_folded`."""
        protected = frozenset(_folded(entry) for entry in settings.protected_environments)
        return cls(settings.confirm, settings.confirm_by, protected)

    def must_ask(self, plan: AnyPlan) -> bool:
        """Whether somebody has to agree."""
        return plan.risk is Risk.DESTRUCTIVE or self.confirm == "all" or bool(self.protected_among(plan))

    def protected_among(self, plan: AnyPlan) -> list[str]:
        """The protected environments that the plan touches, named for people.

        What is not known of an environment counts as protected: its id if ids are listed, its name if names are.
        """
        found = {
            rendering.named(name, identifier) if name or identifier else "an environment that is not known"
            for identifier, name in plan.environments
            if self._is_listed(identifier, numbers=True) or self._is_listed(name, numbers=False)
        }
        return sorted(found)

    def _is_listed(self, known_as: str | None, *, numbers: bool) -> bool:
        if known_as is None:
            return any(entry.isdigit() is numbers for entry in self.protected)
        return _folded(known_as) in self.protected


def _folded(text: str) -> str:
    """An environment's id or name as it is compared: cleaned like the API's own, without regard to case."""
    return unicodedata.normalize("NFKC", clean_text(text) or "").casefold()
