"""What may be done to deployments, and what changes with it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus

from patchworks_deployments.sandbox.account import FIRST_USER, Account, Deployment, FlowVersion
from patchworks_deployments.sandbox.refusals import Errors, Refusal, invalid

Fields = Mapping[str, object]

_ID = re.compile(r"[1-9][0-9]{0,17}")

_OPERATOR = FIRST_USER
"""Who acts: the sandbox's keys and its login all belong to the first user."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The account's data under the rules of Patchworks; `now` is the time of the request."""

    account: Account
    now: datetime

    def find_version(self, id_: str) -> FlowVersion:
        """The flow version, or a 404."""
        version = self.account.flow_versions.get(_parse_id(id_) or 0)
        if version is None:
            raise Refusal(HTTPStatus.NOT_FOUND, "There is no flow version with this id.")
        return version

    def find_deployment(self, version_id: str, deployment_id: str) -> Deployment:
        """The deployment of that very flow version, or a 404."""
        version = self.find_version(version_id)
        deployment = self.account.deployments.get(_parse_id(deployment_id) or 0)
        if deployment is None or deployment.flow_version_id != version.id:
            raise Refusal(HTTPStatus.NOT_FOUND, "This flow version has no deployment with this id.")
        return deployment

    def deployments_of(self, version: FlowVersion) -> list[Deployment]:
        """The version's deployments by id."""
        found = [row for row in self.account.deployments.values() if row.flow_version_id == version.id]
        return sorted(found, key=lambda row: row.id)

    def create(self, version: FlowVersion, fields: Fields) -> Deployment:
        """Deploy the version, enabled unless asked otherwise.

        In an account without virtual environments it takes the place of the flow's version that is deployed now.
        """
        reader = _Reader(self.account, fields)
        reader.require_version(version)
        environment = reader.environment()
        priority = reader.integer("priority")
        disabled = reader.boolean("deploy_disabled")
        reader.refuse_second_version(version.flow_id, environment, None)
        replaced = self._replaced_by(version)
        reader.refuse_same_version(version, replaced)
        reader.finish()
        deployment = Deployment(
            id=self.account.next_deployment_id(),
            flow_version_id=version.id,
            virtual_environment_id=environment,
            package_id=None,
            priority=priority,
            enabled_at=None if disabled else self.now,
            enabled_by=None if disabled else _OPERATOR,
            user_id=_OPERATOR,
            created_at=self.now,
            updated_at=self.now,
        )
        self.account.deployments[deployment.id] = deployment
        self._mark_deployed(version)
        for old in replaced:
            self.delete(old)
        return deployment

    def update(self, deployment: Deployment, fields: Fields) -> None:
        """Change the fields that are present, and only those."""
        reader = _Reader(self.account, fields)
        environment = reader.environment() if "virtual_environment_id" in fields else deployment.virtual_environment_id
        priority = reader.integer("priority") if "priority" in fields else deployment.priority
        enabled_at = reader.time("enabled_at") if "enabled_at" in fields else deployment.enabled_at
        if reader.boolean("deploy_disabled"):
            enabled_at = None
        if "virtual_environment_id" in fields:
            reader.refuse_second_version(self.account.flow_of(deployment).id, environment, deployment)
        reader.finish()
        deployment.virtual_environment_id = environment
        deployment.priority = priority
        self._set_enabled_at(deployment, enabled_at)

    def enable(self, deployment: Deployment) -> None:
        """Let the deployment process runs; one that is enabled keeps its time."""
        if deployment.enabled_at is None:
            self._set_enabled_at(deployment, self.now)

    def disable(self, deployment: Deployment) -> None:
        """Stop the deployment from processing runs."""
        if deployment.enabled_at is not None:
            self._set_enabled_at(deployment, None)

    def delete(self, deployment: Deployment) -> None:
        """Remove the deployment for good; a version without deployments is inactive."""
        version = self.account.version_of(deployment)
        self.account.remove(deployment)
        if not self.deployments_of(version):
            version.status = "Inactive"
            version.deployed_at, version.deployed_by = None, None

    def _replaced_by(self, version: FlowVersion) -> list[Deployment]:
        """The flow's deployments, where the account has no virtual environments."""
        if self.account.has_virtual_environments:
            return []
        return [row for row in self.account.deployments.values() if self.account.flow_of(row).id == version.flow_id]

    def _set_enabled_at(self, deployment: Deployment, enabled_at: datetime | None) -> None:
        if enabled_at is None:
            deployment.enabled_by = None
        elif deployment.enabled_at is None:
            deployment.enabled_by = _OPERATOR
        deployment.enabled_at = enabled_at
        deployment.updated_at = self.now

    def _mark_deployed(self, version: FlowVersion) -> None:
        if version.status == "Draft":
            # A flow always has one draft, so deploying it makes the next.
            draft = replace(
                version,
                id=max(self.account.flow_versions) + 1,
                iteration=version.iteration + 1,
                saved_by=_OPERATOR,
                created_at=self.now,
                updated_at=self.now,
            )
            self.account.flow_versions[draft.id] = draft
        version.status = "Deployed"
        version.deployed_at, version.deployed_by = self.now, _OPERATOR


class _Reader:
    """Reads a request's fields and gathers what is wrong with them."""

    def __init__(self, account: Account, fields: Fields) -> None:
        self._account = account
        self._fields = fields
        self._errors: Errors = {}

    def finish(self) -> None:
        """Raise the 422 if anything was wrong."""
        if self._errors:
            raise invalid(self._errors)

    def require_version(self, version: FlowVersion) -> None:
        value = self._value("flow_version_id")
        if value is None:
            self._add("flow_version_id", "The flow version id field is required.")
        elif _parse_id(value) != version.id:
            self._add("flow_version_id", "The selected flow version id is invalid.")

    def environment(self) -> int | None:
        value = self._value("virtual_environment_id")
        id_ = _parse_id(value)
        # Where the account has none, no id is valid: the vendor does not document a refusal for that case alone.
        if value is not None and id_ not in self._account.virtual_environments:
            self._add("virtual_environment_id", "The selected virtual environment id is invalid.")
        return id_

    def integer(self, name: str) -> int | None:
        value = self._value(name)
        if isinstance(value, float) and value.is_integer():
            return int(value)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        self._add_kind(name, "an integer")
        return None

    def boolean(self, name: str) -> bool:
        value = self._value(name)
        if not isinstance(value, bool | None):
            self._add_kind(name, "true or false")
        return value is True

    def time(self, name: str) -> datetime | None:
        value = self._value(name)
        time = _parse_time(value)
        if value is not None and time is None:
            self._add_kind(name, "a valid date")
        return time

    def refuse_second_version(self, flow_id: int, environment: int | None, this: Deployment | None) -> None:
        """Only one version of a flow can be deployed to an environment; without an environment nothing collides."""
        if environment is not None and any(
            other.virtual_environment_id == environment and self._account.flow_of(other).id == flow_id
            for other in self._account.deployments.values()
            if other is not this
        ):
            text = "A version of this flow is already deployed to this virtual environment."
            self._add("virtual_environment_id", text)

    def refuse_same_version(self, version: FlowVersion, replaced: Iterable[Deployment]) -> None:
        """A version does not replace itself.

        The vendor does not document what happens then. It says that draft and inactive versions can be deployed, which
        this one is not; and an environment refuses the version that it has, too.
        """
        if any(old.flow_version_id == version.id for old in replaced):
            self._add("flow_version_id", "This flow version is already deployed.")

    def _value(self, name: str) -> object:
        """The field's value; Laravel reads an empty string as null."""
        value = self._fields.get(name)
        return None if value == "" else value

    def _add_kind(self, name: str, kind: str) -> None:
        self._add(name, f"The {name.replace('_', ' ')} field must be {kind}.")

    def _add(self, name: str, text: str) -> None:
        self._errors.setdefault(name, []).append(text)


def _parse_id(value: object) -> int | None:
    """The number that an id is, given as a number or as its plain decimal text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(value) if isinstance(value, str) and _ID.fullmatch(value) else None


def _parse_time(value: object) -> datetime | None:
    """The time in UTC; one without an offset is taken as UTC."""
    if not isinstance(value, str) or ":" not in value:
        return None
    try:
        time = datetime.fromisoformat(value.upper())
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
