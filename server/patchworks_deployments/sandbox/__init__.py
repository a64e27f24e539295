"""An embedded stand-in for the Patchworks Core API, so that everything can be tried without an account.

It shares nothing with the rest of the package: were the models shared, a wrong one would agree with itself.
"""

from patchworks_deployments.sandbox.access import API_KEY, PASSWORD, READ_ONLY_KEY, USERNAME
from patchworks_deployments.sandbox.app import RecordedRequest, Sandbox

__all__ = ["API_KEY", "PASSWORD", "READ_ONLY_KEY", "USERNAME", "RecordedRequest", "Sandbox"]
