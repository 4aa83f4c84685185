"""PartiQL through boto3: what statements answer, one by one and in batches.

The expectations are answers of the real service as public conformance suites recorded them.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from botocore.exceptions import ClientError

from harness.waiting import wait_until

pytestmark = pytest.mark.cluster

_numbers = count()


@pytest.fixture(scope="module")
def hash_table(new_table: Callable[..., str]) -> str:
    return new_table()


@pytest.fixture(scope="module")
def composite(new_table: Callable[..., str]) -> str:
    return new_table("S", "S")


@pytest.fixture(scope="module")
def run(dynamodb: Any) -> Callable[..., dict[str, Any]]:
    def execute(statement: str, *parameters: Any, **options: Any) -> dict[str, Any]:
        if parameters:
            options["Parameters"] = list(parameters)
        answer: dict[str, Any] = dynamodb.execute_statement(Statement=statement, **options)
        return answer

    return execute


def refusal(work: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(ClientError) as raised:
        work()
    error = raised.value.response["Error"]
    return error["Code"], error["Message"]


def put(dynamodb: Any, table: str, **attributes: Any) -> str:
    """An item with a partition key of its own, which is returned."""
    pk = f"item-{next(_numbers)}"
    dynamodb.put_item(TableName=table, Item={"pk": {"S": pk}, **attributes})
    return pk


def stored(dynamodb: Any, table: str, pk: str, **key: Any) -> Any:
    return dynamodb.get_item(TableName=table, Key={"pk": {"S": pk}, **key}, ConsistentRead=True).get("Item")


@pytest.fixture(scope="module")
def rows(dynamodb: Any, composite: str) -> str:
    for pk in ("o", "p"):
        for sk in ("1", "2", "3"):
            item = {"pk": {"S": pk}, "sk": {"S": sk}, "n": {"N": sk}, "m": {"M": {"k": {"L": [{"S": pk}]}}}}
            if sk == "2":
                item["nul"] = {"NULL": True}
            dynamodb.put_item(TableName=composite, Item=item)
    return composite


@pytest.fixture(scope="module")
def indexed(dynamodb: Any, run: Any) -> str:
    name = "partiql-indexes"
    attributes = ("pk", "sk", "g", "lsk")
    dynamodb.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": one, "AttributeType": "S"} for one in attributes],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        LocalSecondaryIndexes=[
            {
                "IndexName": "local",
                "KeySchema": [
                    {"AttributeName": "pk", "KeyType": "HASH"},
                    {"AttributeName": "lsk", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "global",
                "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["proj"]},
            }
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
    for sk, extra in {"1": {"g": "x", "lsk": "b"}, "2": {"g": "x", "lsk": "a"}, "3": {}}.items():
        item = {"pk": "p", "sk": sk, "proj": f"proj{sk}", "np": f"np{sk}", **extra}
        dynamodb.put_item(TableName=name, Item={key: {"S": value} for key, value in item.items()})
    entries = f'SELECT sk FROM "{name}"."global" WHERE g = \'x\''
    wait_until(lambda: len(run(entries)["Items"]) == 2, timeout_s=20, what="the global index holds both items")
    return name


class TestWrites:
    def test_insert_stores_every_kind_of_literal(self, dynamodb: Any, hash_table: str, run: Any) -> None:
        answer = run(
            f"INSERT INTO \"{hash_table}\" VALUE {{'pk': 'kinds', 'n': -1.5e2, 's': 'it''s', 't': true, 'u': null, "
            "'l': [1, 'x', <<'a', 'b'>>], 'm': {'k': {'j': 2}}, 'p': ?}",
            {"B": b"\x00\xff"},
        )
        assert answer["Items"] == []
        assert stored(dynamodb, hash_table, "kinds") == {
            "pk": {"S": "kinds"},
            "n": {"N": "-150"},
            "s": {"S": "it's"},
            "t": {"BOOL": True},
            "u": {"NULL": True},
            "l": {"L": [{"N": "1"}, {"S": "x"}, {"SS": ["a", "b"]}]},
            "m": {"M": {"k": {"M": {"j": {"N": "2"}}}}},
            "p": {"B": b"\x00\xff"},
        }

    def test_insert_does_not_replace(self, dynamodb: Any, hash_table: str, run: Any) -> None:
        pk = put(dynamodb, hash_table, data={"S": "first"})
        assert refusal(lambda: run(f"INSERT INTO \"{hash_table}\" VALUE {{'pk': '{pk}', 'data': 'second'}}")) == (
            "DuplicateItemException",
            "Duplicate primary key exists in table",
        )
        assert stored(dynamodb, hash_table, pk)["data"] == {"S": "first"}

    def test_update_changes_lists_maps_numbers_and_sets(self, dynamodb: Any, hash_table: str, run: Any) -> None:
        pk = put(
            dynamodb,
            hash_table,
            n={"N": "1"},
            m={"M": {}},
            l={"L": [{"N": "1"}]},
            gone={"BOOL": True},
            ns={"NS": ["1", "2"]},
            ss={"SS": ["only"]},
        )
        run(
            f'UPDATE "{hash_table}" SET n = n + 100 SET m.added = [2020, 2.4] SET l = list_append(l, [4]) '
            f"REMOVE gone SET ns = SET_ADD(ns, <<345>>) SET ss = set_delete(ss, <<'only'>>) SET fresh = "
            f"set_add(fresh, ?) WHERE pk = '{pk}'",
            {"BS": [b"\x01"]},
        )
        item = stored(dynamodb, hash_table, pk)
        assert item["n"] == {"N": "101"}
        assert item["m"] == {"M": {"added": {"L": [{"N": "2020"}, {"N": "2.4"}]}}}
        assert sorted(item["ns"]["NS"]) == ["1", "2", "345"]
        assert item["l"] == {"L": [{"N": "1"}, {"N": "4"}]}
        assert not {"ss", "gone"} & set(item)
        assert item["fresh"] == {"BS": [b"\x01"]}

    @pytest.mark.parametrize(
        ("clause", "returning", "items"),
        [
            ("SET data = 'new'", "ALL OLD", [{"data": {"S": "old"}, "keep": {"S": "same"}, "pk": ...}]),
            ("SET data = 'new'", "ALL NEW", [{"data": {"S": "new"}, "keep": {"S": "same"}, "pk": ...}]),
            ("SET data = 'new'", "MODIFIED OLD", [{"data": {"S": "old"}}]),
            ("SET data = 'new'", "MODIFIED NEW", [{"data": {"S": "new"}}]),
            ("REMOVE data", "MODIFIED OLD", [{"data": {"S": "old"}}]),
            ("REMOVE data", "MODIFIED NEW", []),
            ("SET other = 1", "MODIFIED OLD", []),
        ],
    )
    def test_update_returning(
        self, dynamodb: Any, hash_table: str, run: Any, clause: str, returning: str, items: list[Any]
    ) -> None:
        pk = put(dynamodb, hash_table, data={"S": "old"}, keep={"S": "same"})
        for item in items:
            if "pk" in item:
                item["pk"] = {"S": pk}
        answer = run(f"UPDATE \"{hash_table}\" {clause} WHERE pk = '{pk}' RETURNING {returning} *")
        assert answer["Items"] == items

    def test_update_is_no_upsert(self, dynamodb: Any, hash_table: str, run: Any) -> None:
        failed = ("ConditionalCheckFailedException", "The conditional request failed")
        assert refusal(lambda: run(f"UPDATE \"{hash_table}\" SET a = 1 WHERE pk = 'never'")) == failed
        assert refusal(lambda: run(f"FROM \"{hash_table}\" WHERE pk = 'never' SET a = 1")) == failed
        assert stored(dynamodb, hash_table, "never") is None

    def test_further_conditions_guard_a_write(self, dynamodb: Any, hash_table: str, run: Any) -> None:
        pk = put(dynamodb, hash_table, name={"S": "alpha"}, tags={"SS": ["b", "a"]})
        failed = ("ConditionalCheckFailedException", "The conditional request failed")
        for where in ("\"name\" = 'beta'", "NOT begins_with(\"name\", 'al')", "attribute_exists(nope)"):
            assert refusal(lambda: run(f"UPDATE \"{hash_table}\" SET n = 9 WHERE pk = '{pk}' AND {where}")) == failed  # noqa: B023
            assert refusal(lambda: run(f"DELETE FROM \"{hash_table}\" WHERE pk = '{pk}' AND {where}")) == failed  # noqa: B023
        run(f"UPDATE \"{hash_table}\" SET n = 9 WHERE pk = '{pk}' AND tags = ?", {"SS": ["a", "b"]})
        assert stored(dynamodb, hash_table, pk)["n"] == {"N": "9"}
        run(f"DELETE FROM \"{hash_table}\" WHERE pk = '{pk}' AND \"name\" = 'alpha'")
        assert stored(dynamodb, hash_table, pk) is None

    def test_a_failed_condition_shows_the_item_when_asked(self, dynamodb: Any, hash_table: str, run: Any) -> None:
        pk = put(dynamodb, hash_table, v={"N": "1"})
        with pytest.raises(ClientError) as raised:
            run(
                f"UPDATE \"{hash_table}\" SET v = 2 WHERE pk = '{pk}' AND v = 5",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        assert raised.value.response["Item"] == {"pk": {"S": pk}, "v": {"N": "1"}}

    def test_delete_returns_what_was_there(self, dynamodb: Any, hash_table: str, run: Any) -> None:
        pk = put(dynamodb, hash_table, n={"N": "7"})
        statement = f"DELETE FROM \"{hash_table}\" WHERE pk = '{pk}' RETURNING ALL OLD *"
        assert run(statement)["Items"] == [{"pk": {"S": pk}, "n": {"N": "7"}}]
        assert run(statement)["Items"] == []

    def test_delete_of_a_missing_item_with_a_condition_succeeds(self, hash_table: str, run: Any) -> None:
        assert run(f"DELETE FROM \"{hash_table}\" WHERE pk = 'never' AND a = 'x'")["Items"] == []

    def test_a_path_that_is_not_there_is_refused(self, dynamodb: Any, hash_table: str, run: Any) -> None:
        pk = put(dynamodb, hash_table)
        assert refusal(lambda: run(f"UPDATE \"{hash_table}\" SET fresh[0] = 'x' WHERE pk = '{pk}'")) == (
            "ValidationException",
            "The document path provided in the update expression is invalid for update",
        )


class TestSelect:
    @pytest.mark.parametrize(
        ("where", "found"),
        [
            ("pk = 'o'", "o1 o2 o3"),
            ("pk = 'o' AND sk = '2'", "o2"),
            ("pk = 'o' AND sk = '2' AND n = 3", ""),
            ("pk = 'o' AND sk = 'none'", ""),
            ("pk = 'o' AND sk > '1'", "o2 o3"),
            ("pk = 'o' AND sk > '1' AND sk < '3'", "o2"),
            ("pk = 'o' AND sk BETWEEN '2' AND '3'", "o2 o3"),
            ("pk = 'o' AND begins_with(sk, '3')", "o3"),
            ("pk = 'o' AND sk <> '2'", "o1 o3"),
            ("pk = 'o' AND NOT sk IN ['1', '3']", "o2"),
            ("pk = 'o' AND sk IN ['3', '1']", "o1 o3"),
            ("pk = 'o' AND n BETWEEN 2 AND 9", "o2 o3"),
            ("pk IN ['p', 'o'] AND n = 2", "o2 p2"),
            ("pk = 'o' AND sk = '1' OR pk = 'p' AND sk > '2'", "o1 p3"),
            ("pk = 'o' OR pk = 'o' AND NOT sk = '1'", "o1 o2 o3"),
            ("pk = 'o' ORDER BY sk DESC", "o3 o2 o1"),
            ("pk = 'o' ORDER BY pk ASC", "o3 o2 o1"),
            ("pk IN ['o', 'p'] ORDER BY pk DESC, sk ASC", "p1 p2 p3 o1 o2 o3"),
            ("pk = 'o' AND nul IS NULL", "o2"),
            ("pk = 'o' AND nul IS NOT NULL", "o1 o3"),
            ("pk = 'o' AND nul IS MISSING", "o1 o3"),
            ("pk = 'o' AND m IS STRUCT AND n IS NOT STRING", "o1 o2 o3"),
            ("pk = 'o' AND attribute_exists(nul) = false AND size(sk) = 1", "o1 o3"),
            ("pk = 'o' AND contains(m.k, 'o') AND n != 2", "o1 o3"),
        ],
    )
    def test_where_and_order(self, rows: str, run: Any, where: str, found: str) -> None:
        answer = run(f'SELECT pk, sk FROM "{rows}" WHERE {where}', ConsistentRead=True)
        assert [item["pk"]["S"] + item["sk"]["S"] for item in answer["Items"]] == found.split()
        assert "NextToken" not in answer

    def test_a_scan_filters_on_anything(self, rows: str, run: Any) -> None:
        items = run(f"SELECT * FROM \"{rows}\" WHERE n >= 3 OR sk = '1'", ConsistentRead=True)["Items"]
        assert sorted(item["pk"]["S"] + item["sk"]["S"] for item in items) == ["o1", "o3", "p1", "p3"]

    def test_columns_are_named_by_the_end_of_their_path(self, rows: str, run: Any) -> None:
        answer = run(f"SELECT sk, m.k[0], nope FROM \"{rows}\" WHERE pk = 'p' AND sk = '1'")
        assert answer["Items"] == [{"sk": {"S": "1"}, "k[0]": {"S": "p"}}]

    def test_parameters_stand_for_values(self, rows: str, run: Any) -> None:
        answer = run(f'SELECT sk FROM "{rows}" WHERE pk = ? AND n IN [?, 3]', {"S": "o"}, {"N": "1.0"})
        assert [item["sk"]["S"] for item in answer["Items"]] == ["1", "3"]

    @pytest.mark.parametrize(
        "where",
        ["WHERE pk = 'o'", "WHERE pk IN ['o', 'p']", "WHERE pk IN ['o', 'p'] ORDER BY pk DESC", "", "WHERE n < 3"],
    )
    def test_tokens_lead_through_all_pages(self, rows: str, run: Any, where: str) -> None:
        statement = f'SELECT pk, sk FROM "{rows}" {where}'
        whole = run(statement, ConsistentRead=True)["Items"]
        pages, options = [], {}
        while len(pages) < 20:
            answer = run(statement, Limit=2, ConsistentRead=True, **options)
            assert len(answer["Items"]) <= 2
            pages.append(answer["Items"])
            if "NextToken" not in answer:
                break
            options = {"NextToken": answer["NextToken"]}
        assert [item for page in pages for item in page] == whole
        assert len(pages) > 1

    def test_a_token_of_another_request_is_refused(self, rows: str, run: Any) -> None:
        statement = f'SELECT pk FROM "{rows}" WHERE pk = ?'
        token = run(statement, {"S": "o"}, Limit=1)["NextToken"]
        mismatch = ("ValidationException", "NextToken does not match request")
        assert refusal(lambda: run(statement, {"S": "p"}, NextToken=token)) == mismatch
        assert refusal(lambda: run(f'SELECT pk FROM "{rows}"', NextToken=token)) == mismatch
        assert refusal(lambda: run(statement, {"S": "o"}, NextToken="x")) == (
            "ValidationException",
            "Invalid NextToken",
        )
        assert len(run(statement, {"S": "o"}, Limit=5, NextToken=token)["Items"]) == 2

    @pytest.mark.parametrize(
        ("where", "units"),
        [("WHERE pk = 'o'", 0.5), ("WHERE pk = 'o' AND sk = '1'", 0.5), ("WHERE pk IN ['o', 'p']", 1.0)],
    )
    def test_capacity_is_the_sum_of_the_reads(self, rows: str, run: Any, where: str, units: float) -> None:
        answer = run(f'SELECT * FROM "{rows}" {where}', ReturnConsumedCapacity="TOTAL")
        assert answer["ConsumedCapacity"] == {"TableName": rows, "CapacityUnits": units}

    def test_writes_tell_their_capacity(self, composite: str, run: Any) -> None:
        statement = f"INSERT INTO \"{composite}\" VALUE {{'pk': 'cost', 'sk': '1'}}"
        answer = run(statement, ReturnConsumedCapacity="INDEXES")
        assert answer["Items"] == []
        assert answer["ConsumedCapacity"] == {
            "TableName": composite,
            "CapacityUnits": 1.0,
            "Table": {"CapacityUnits": 1.0},
        }

    def test_a_table_that_is_not_there(self, run: Any) -> None:
        missing = ("ResourceNotFoundException", "Requested resource not found")
        for statement in (
            "SELECT * FROM \"never-made\" WHERE pk = 'x'",
            "INSERT INTO \"never-made\" VALUE {'pk': 'x'}",
            "UPDATE \"never-made\" SET a = 1 WHERE pk = 'x'",
            "DELETE FROM \"never-made\" WHERE pk = 'x'",
        ):
            assert refusal(lambda statement=statement: run(statement)) == missing

    def test_the_text_is_judged_before_the_table(self, run: Any) -> None:
        assert refusal(lambda: run('SELECT * FROM "never-made" WHERE')) == (
            "ValidationException",
            "Statement wasn't well formed, can't be processed: Unexpected term",
        )
        code, message = refusal(lambda: run('SELECT * FROM "never-made" WHERE a < ?', {"BOOL": True}))
        assert (code, message[:23]) == ("ValidationException", "Incorrect operand type ")

    def test_a_statement_is_bounded(self, run: Any) -> None:
        code, message = refusal(lambda: run("S" * 8193))
        assert code == "ValidationException"
        assert message.endswith(
            "at 'statement' failed to satisfy constraint: Member must have length less than or equal to 8192"
        )


class TestIndexes:
    def test_a_global_index_gives_what_it_holds(self, indexed: str, run: Any) -> None:
        items = run(f"SELECT * FROM \"{indexed}\".\"global\" WHERE g = 'x' AND proj = 'proj1'")["Items"]
        assert items == [{"pk": {"S": "p"}, "sk": {"S": "1"}, "g": {"S": "x"}, "proj": {"S": "proj1"}}]

    def test_without_its_key_an_index_is_scanned(self, indexed: str, run: Any) -> None:
        items = run(f'SELECT sk FROM "{indexed}"."global" WHERE NOT np = \'np1\'')["Items"]
        assert sorted(item["sk"]["S"] for item in items) == ["1", "2"]

    def test_a_local_index_orders_and_fetches(self, indexed: str, run: Any) -> None:
        statement = f'SELECT sk, np FROM "{indexed}"."local" WHERE pk = \'p\' ORDER BY lsk'
        items = run(statement, ConsistentRead=True)["Items"]
        assert items == [{"sk": {"S": "2"}, "np": {"S": "np2"}}, {"sk": {"S": "1"}, "np": {"S": "np1"}}]

    @pytest.mark.parametrize(
        ("source", "where", "options", "message"),
        [
            ('"none"', "pk = 'p'", {}, "The table does not have the specified index"),
            (
                '"global"',
                "g = 'x'",
                {"ConsistentRead": True},
                "Strongly consistent read is not supported on Global Secondary Indexes",
            ),
            (
                '"local"',
                "pk = 'p' AND np = '1'",
                {},
                "One or more parameter values were invalid: Secondary index local does not project one or more filter "
                "attributes: [np]",
            ),
        ],
    )
    def test_refusals(
        self, indexed: str, run: Any, source: str, where: str, options: dict[str, Any], message: str
    ) -> None:
        statement = f'SELECT pk FROM "{indexed}".{source} WHERE {where}'
        assert refusal(lambda: run(statement, **options)) == ("ValidationException", message)


class TestBatch:
    def batch(self, dynamodb: Any, *statements: Any, **options: Any) -> Any:
        members = [one if isinstance(one, dict) else {"Statement": one} for one in statements]
        return dynamodb.batch_execute_statement(Statements=members, **options)

    def test_reads_answer_in_order(self, dynamodb: Any, hash_table: str) -> None:
        first, second = put(dynamodb, hash_table, v={"S": "1"}), put(dynamodb, hash_table, v={"S": "2"})
        select = f'SELECT v FROM "{hash_table}" WHERE pk = ?'
        answer = self.batch(
            dynamodb,
            {"Statement": select, "Parameters": [{"S": second}], "ConsistentRead": True},
            {"Statement": select, "Parameters": [{"S": "never"}]},
            {"Statement": select, "Parameters": [{"S": first}], "ConsistentRead": True},
            ReturnConsumedCapacity="TOTAL",
        )
        assert answer["Responses"] == [
            {"TableName": hash_table, "Item": {"v": {"S": "2"}}},
            {"TableName": hash_table},
            {"TableName": hash_table, "Item": {"v": {"S": "1"}}},
        ]
        assert answer["ConsumedCapacity"] == [{"TableName": hash_table, "CapacityUnits": 2.5}]

    def test_each_write_fails_or_succeeds_for_itself(self, dynamodb: Any, hash_table: str) -> None:
        pk = put(dynamodb, hash_table, v={"S": "old"})
        fresh = f"fresh-{next(_numbers)}"
        answer = self.batch(
            dynamodb,
            f"INSERT INTO \"{hash_table}\" VALUE {{'pk': '{fresh}'}}",
            f"INSERT INTO \"{hash_table}\" VALUE {{'pk': '{pk}'}}",
            f"UPDATE \"{hash_table}\" SET v = 'x' WHERE pk = '{pk}' AND v = 'other'",
            f"UPDATE \"{hash_table}\" SET w = 'new' WHERE pk = '{pk}' RETURNING MODIFIED NEW *",
            "DELETE FROM \"never-made\" WHERE pk = 'x'",
            f'UPDATE "{hash_table}" SET w = 1 WHERE v = 1',
            f"UPSERT \"{hash_table}\" SET w = 1 WHERE pk = '{pk}'",
        )
        codes = [response.get("Error", {}).get("Code") for response in answer["Responses"]]
        assert codes == [
            None, "DuplicateItem", "ConditionalCheckFailed", None, "ResourceNotFound", "ValidationError",
            "ValidationError",
        ]  # fmt: skip
        assert ["TableName" in response for response in answer["Responses"]] == [True] * 4 + [False] * 3
        assert answer["Responses"][3]["Item"] == {"w": {"S": "new"}}
        assert stored(dynamodb, hash_table, fresh) == {"pk": {"S": fresh}}

    def test_reads_name_one_item(self, dynamodb: Any, composite: str) -> None:
        message = "Select statements within BatchExecuteStatement must specify the primary key in the where clause."
        answer = self.batch(
            dynamodb,
            f"SELECT * FROM \"{composite}\" WHERE pk = 'x'",
            f"SELECT * FROM \"{composite}\" WHERE pk = 'x' AND sk = 'y' AND v = 1",
        )
        assert [response["Error"] for response in answer["Responses"]] == [
            {"Code": "ValidationError", "Message": message}
        ] * 2

    def test_reads_and_writes_do_not_mix(self, dynamodb: Any, hash_table: str) -> None:
        statements = (
            f"SELECT * FROM \"{hash_table}\" WHERE pk = 'x'",
            f"DELETE FROM \"{hash_table}\" WHERE pk = 'x'",
        )
        assert refusal(lambda: self.batch(dynamodb, *statements)) == (
            "ValidationException",
            "Read and write requests together in the same batch is not supported.",
        )

    def test_a_batch_has_at_most_25_statements(self, dynamodb: Any, hash_table: str) -> None:
        select = f"SELECT * FROM \"{hash_table}\" WHERE pk = 'x'"
        code, message = refusal(lambda: self.batch(dynamodb, *[select] * 26))
        assert code == "ValidationException"
        assert "Member must have length less than or equal to 25" in message
