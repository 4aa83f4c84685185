"""dynamo.requests: see OVERVIEW.md."""

from __future__ import annotations

from dynamo.requests.create_table import CreateTableRequest, parse_create_table
from dynamo.requests.validator import RequestValidator, operation_names, validator_for

__all__ = ["CreateTableRequest", "RequestValidator", "operation_names", "parse_create_table", "validator_for"]
