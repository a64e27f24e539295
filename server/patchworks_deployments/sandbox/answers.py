"""Records as JSON, with the oddities of the real API: fields nobody asked for, ids of two types, two shapes."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from patchworks_deployments.sandbox.account import Account, Deployment, FlowVersion

Record: TypeAlias = dict[str, object]
Shape = Literal["flat", "json_api"]


@dataclass(frozen=True, slots=True)
class Answers:
    """Writes deployments in one shape."""

    account: Account
    shape: Shape

    def listed(self, deployment: Deployment, includes: Iterable[str] = ()) -> Record:
        """The record of the listing over all deployments: every id is a number."""
        relations: Record = {name: self._relation(name, deployment) for name in includes}
        return self._shaped("flow-version-deployments", self._fields(deployment), relations)

    def nested(self, deployment: Deployment, includes: Iterable[str] = ()) -> Record:
        """The record under a flow version: foreign ids and the iteration are strings there."""
        record = self.listed(deployment, includes)
        fields = record if self.shape == "flat" else record["attributes"]
        assert isinstance(fields, dict)
        for name in ("flow_version_id", "virtual_environment_id", "iteration"):
            fields[name] = None if fields[name] is None else str(fields[name])
        return record

    def _shaped(self, kind: str, fields: Record, relations: Record | None = None) -> Record:
        if self.shape == "flat":
            return fields | (relations or {})
        attributes = {name: value for name, value in fields.items() if name != "id"}
        record: Record = {"id": str(fields["id"]), "type": kind, "attributes": attributes}
        if relations:
            record["relationships"] = {name: {"data": data} for name, data in relations.items()}
        return record

    def _fields(self, deployment: Deployment) -> Record:
        version = self.account.version_of(deployment)
        flow = self.account.flow_of(deployment)
        deployer = self.account.users.get(version.deployed_by or 0)
        return {
            "id": deployment.id,
            "flow_version_id": deployment.flow_version_id,
            "virtual_environment_id": deployment.virtual_environment_id,
            "package_id": deployment.package_id,
            "priority": deployment.priority,
            "enabled_at": _time(deployment.enabled_at),
            "created_at": _time(deployment.created_at),
            "updated_at": _time(deployment.updated_at),
            "flow_id": flow.id,
            "flow_name": flow.name,
            "flow_priority": str(flow.priority),
            "iteration": version.iteration,
            "status": version.status,
            "is_deployed": version.status == "Deployed",
            "is_editable": version.status == "Draft",
            "deployed_at": _time(version.deployed_at),
            "deployed_by": {"id": deployer.id, "name": deployer.name} if deployer else None,
            "microservice": "flow-runner",
            "config": json.dumps({"retries": 3, "password": f"s3cr3t-config-{deployment.id}"}),
            "key": "webhook_token",
            "value": f"s3cr3t-value-{deployment.id}",
            "secret": "1",
            "variables": json.dumps([{"key": "store_password", "value": f"s3cr3t-store-{flow.id}", "secret": 1}]),
            "type": "deployment",
            "flow_step_route_id": None,
            "parent_id": None,
            "date_format": None,
            "schedules": None,
            "runs": None,
            "latest_run": None,
            "pivot": None,
        }

    def _relation(self, name: str, deployment: Deployment) -> Record | None:
        match name:
            case "flow_version":
                return self._shaped("flow-versions", self._version(self.account.version_of(deployment)))
            case "virtual_environment":
                if (environment := self.account.environment_of(deployment)) is None:
                    return None
                fields: Record = {"id": environment.id, "name": environment.name, "priority": None, "pivot": None}
                return self._shaped("virtual-environments", fields)
            case "package":
                package = self.account.package_of(deployment)
                return self._shaped("packages", {"id": package.id, "name": package.name}) if package else None
            case "enabled_by":
                return self._user(deployment.enabled_by)
            case _:
                return self._user(deployment.user_id)

    def _user(self, id_: int | None) -> Record | None:
        user = self.account.users.get(id_ or 0)
        return self._shaped("users", {"id": user.id, "name": user.name, "email": user.email}) if user else None

    def _version(self, version: FlowVersion) -> Record:
        return {
            "id": version.id,
            "flow_id": version.flow_id,
            "flow_name": self.account.flows[version.flow_id].name,
            "iteration": str(version.iteration),
            "status": version.status,
            "cron_string": version.cron_string,
            "variables": [{"key": "api_token", "value": f"s3cr3t-variable-{version.id}", "secret": True}],
            "has_callback_step": False,
            "steps_count": version.steps_count,
            "saved_at": _time(version.updated_at),
            "saved_by": version.saved_by,
            "created_at": _time(version.created_at),
            "updated_at": _time(version.updated_at),
            "pivot": None,
        }


def _time(time: datetime | None) -> str | None:
    """The way Laravel writes a time: UTC, with microseconds."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if time else None
