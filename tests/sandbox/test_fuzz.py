"""Requests made up from the contract never break the sandbox.

Only some of schemathesis' checks hold, because the contract was generated from code and its types are not
the API's: ids that exist cannot be told from strings that do not, `sort` and `include` are any string, and
the record is a merge of many resources. So valid data may be refused with a 400, 404 or 422, and no answer is
held against the record's schema; what must hold is that every answer is one the API gives, in its form.
"""

import json
from pathlib import Path

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
