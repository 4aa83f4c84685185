"""ExecuteStatement and BatchExecuteStatement (API reference): PartiQL on top of the native operations.

Called by router.operations.registry. Law: a statement reads and writes only by running native operations, so it can do
nothing that they cannot.
"""

from __future__ import annotations

from router.operations.statements.batch_execute import batch_execute_statement
from router.operations.statements.execute import execute_statement

__all__ = ["batch_execute_statement", "execute_statement"]
