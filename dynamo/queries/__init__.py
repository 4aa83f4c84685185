"""What Query and Scan mean: key conditions, legacy parameters, key ranges, filters, selection. Pure.

Called by router.operations. Law: a request is judged in the service's order with the service's texts, whether it came
as expressions or as legacy parameters; after that both are the same thing. See dynamo/expressions/OVERVIEW.md.
"""
