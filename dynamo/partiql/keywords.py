"""Words of PartiQL that are not names unless they stand in double quotes.

Called by the lexer. Source: the reserved words of SQL-92 that PartiQL's reference parser keeps, and the words PartiQL
adds (developer guide, "PartiQL for DynamoDB"); parts of dates (year, month ...) are names there. Matched without regard
to case.
"""

from __future__ import annotations

_SQL = """
absolute action add all allocate alter and any are as asc assertion at authorization avg begin between bit bit_length by
cascade cascaded case cast catalog char character character_length char_length check close coalesce collate collation
column commit connect connection constraint constraints continue convert corresponding count create cross current
current_date current_time current_timestamp current_user cursor date deallocate dec decimal declare default deferrable
deferred delete desc describe descriptor diagnostics disconnect distinct domain double drop else end escape except
exception exec execute exists external extract false fetch first float for foreign found from full get global go goto
grant group having identity immediate in indicator initially inner input insensitive insert int integer intersect
interval into is isolation join key language last left level like local lower match max min module names national
natural nchar next no not null nullif numeric octet_length of on only open option or order outer output overlaps pad
partial position precision prepare preserve primary prior privileges procedure public read real references relative
restrict revoke right rollback rows schema scroll section select session session_user set size smallint some space sql
sqlcode sqlerror sqlstate substring sum system_user table temporary then time timestamp to transaction translate
translation trim true union unique unknown update upper usage user using value values varchar varying view when whenever
where with work write zone
"""

_PARTIQL = """
missing pivot unpivot limit tuple remove index conflict do nothing returning modified new old let
bool boolean string symbol clob blob struct list sexp bag
"""

KEYWORDS = frozenset((_SQL + _PARTIQL).split())

# Keywords that are also names of functions: a parenthesis behind them makes them a call.
_FUNCTIONS = """
avg cast char_length character_length coalesce count date exists extract lower max min nullif size substring sum trim
upper
"""
FUNCTION_KEYWORDS = frozenset(_FUNCTIONS.split())

_REFUSED_TYPES = """
smallint int int2 int4 int8 integer integer2 integer4 integer8 float real decimal timestamp date time char character
varchar symbol clob sexp bag any double
"""
# Names of types for IS, with the attribute type that DynamoDB tests; None where it refuses the type.
TYPE_NAMES: dict[str, str | None] = {
    "missing": "MISSING",
    "null": "NULL",
    "bool": "BOOL",
    "boolean": "BOOL",
    "blob": "B",
    "string": "S",
    "numeric": "N",
    "struct": "M",
    "tuple": "M",
    "list": "L",
    **dict.fromkeys(_REFUSED_TYPES.split()),
}
