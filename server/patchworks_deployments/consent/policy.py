"""Which writes ask, and whom."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from patchworks_deployments.model.names import look_alike
from patchworks_deployments.settings import Settings
from patchworks_deployments.writes.plan import AnyPlan, Environment, Risk


@dataclass(frozen=True)
class Policy:
    """Which writes ask, and whom."""

    confirm: Literal["destructive", "all"]
    confirm_by: Literal["auto", "human", "code"]
    protected: tuple[str, ...]
    """Environments by id or name. An entry is compared with both: an environment may be called "2024"."""

    @classmethod
    def from_settings(cls, settings: Settings) -> "Policy":
        """The policy that the settings name."""
        return cls(settings.confirm, settings.confirm_by, settings.protected_environments)

    def must_ask(self, plan: AnyPlan) -> bool:
        """Whether somebody has to agree."""
        return plan.risk is Risk.DESTRUCTIVE or self.confirm == "all" or bool(self.protected_among(plan))

    def wants_person(self, plan: AnyPlan) -> bool:
        """Whether only a person's answer counts, and no code."""
        return self.confirm_by == "human" or bool(self.protected_among(plan))

    def takes_person(self, plan: AnyPlan) -> bool:
        """Whether a person is asked, by a question or in a page, where the client can show one."""
        return self.confirm_by != "code" or bool(self.protected_among(plan))

    def protects(self, environment: Environment) -> bool:
        """Whether it is protected. Where any is, so is one whose id or name is not known: it may be that one."""
        return bool(self.protected) and (None in environment or self._is_listed(environment))

    def protected_among(self, plan: AnyPlan) -> list[Environment]:
        """The protected environments that the plan touches, by name."""
        found = set(filter(self.protects, plan.environments))
        return sorted(found, key=lambda environment: (environment[1] or "", environment[0] or ""))

    def unmatched(self, environments: Iterable[Environment]) -> list[str]:
        """The entries that none of the environments has as its id or name: each of them protects nothing."""
        known = list(environments)
        return [entry for entry in self.protected if not any(_matches(entry, words) for words in known)]

    def _is_listed(self, environment: Environment) -> bool:
        return any(_matches(entry, environment) for entry in self.protected)


def _matches(entry: str, environment: Environment) -> bool:
    return any(look_alike(entry, word) for word in environment if word)
