// A session of an application on the AWS SDK for JavaScript v3: a table with indexes, from its making to its end.
//
// Run by tests/clients/test_client_javascript.py: node session.mjs ENDPOINT TABLE. Ends with status 0 and "session done".

import assert from "node:assert/strict";
import {
  BatchExecuteStatementCommand,
  ConditionalCheckFailedException,
  CreateTableCommand,
  DeleteTableCommand,
  DynamoDBClient,
  ExecuteStatementCommand,
  waitUntilTableExists,
  waitUntilTableNotExists,
} from "@aws-sdk/client-dynamodb";
import {
  BatchGetCommand,
  BatchWriteCommand,
  DeleteCommand,
  DynamoDBDocumentClient,
  GetCommand,
  paginateQuery,
  paginateScan,
  PutCommand,
  QueryCommand,
  UpdateCommand,
} from "@aws-sdk/lib-dynamodb";

const FOLLOW_TIMEOUT_MS = 20_000;
const [endpoint, TableName] = process.argv.slice(2);
const client = new DynamoDBClient({
  endpoint,
  region: "us-east-1",
  credentials: { accessKeyId: "local", secretAccessKey: "local" },
});
const documents = DynamoDBDocumentClient.from(client);

function keys(hash, range) {
  const schema = [{ AttributeName: hash, KeyType: "HASH" }];
  return range ? [...schema, { AttributeName: range, KeyType: "RANGE" }] : schema;
}

async function makeTable() {
  const types = { artist: "S", song: "S", year: "N", genre: "S", plays: "N" };
  await client.send(
    new CreateTableCommand({
      TableName,
      BillingMode: "PAY_PER_REQUEST",
      KeySchema: keys("artist", "song"),
      AttributeDefinitions: Object.entries(types).map(([AttributeName, AttributeType]) => ({
        AttributeName,
        AttributeType,
      })),
      LocalSecondaryIndexes: [
        { IndexName: "by_year", KeySchema: keys("artist", "year"), Projection: { ProjectionType: "ALL" } },
      ],
      GlobalSecondaryIndexes: [
        { IndexName: "by_genre", KeySchema: keys("genre", "plays"), Projection: { ProjectionType: "KEYS_ONLY" } },
      ],
    }),
  );
  await waitUntilTableExists({ client, maxWaitTime: 60, minDelay: 1, maxDelay: 2 }, { TableName });
}

async function writeAndRead() {
  const first = { artist: "ann", song: "one", year: 2001, genre: "pop", plays: 5, tags: new Set(["a", "b"]) };
  await documents.send(new PutCommand({ TableName, Item: first }));
  await documents.send(
    new PutCommand({ TableName, Item: { artist: "ann", song: "two", year: 1999, genre: "pop", plays: 50, cover: new Uint8Array([0, 255]) } }),
  );
  const Key = { artist: "ann", song: "one" };
  const changed = await documents.send(
    new UpdateCommand({
      TableName,
      Key,
      UpdateExpression: "SET plays = plays + :n REMOVE tags",
      ConditionExpression: "plays < :max",
      ExpressionAttributeValues: { ":n": 60, ":max": 10 },
      ReturnValues: "ALL_NEW",
    }),
  );
  assert.deepEqual(changed.Attributes, { ...Key, year: 2001, genre: "pop", plays: 65 });
  await assert.rejects(
    documents.send(
      new DeleteCommand({
        TableName,
        Key,
        ConditionExpression: "attribute_not_exists(song)",
        ReturnValuesOnConditionCheckFailure: "ALL_OLD",
      }),
    ),
    (error) => error instanceof ConditionalCheckFailedException && error.Item.plays.N === "65",
  );
  const found = await documents.send(
    new GetCommand({ TableName, Key: { artist: "ann", song: "two" }, ConsistentRead: true }),
  );
  assert.deepEqual([...found.Item.cover], [0, 255]);
  const byYear = await documents.send(
    new QueryCommand({
      TableName,
      IndexName: "by_year",
      KeyConditionExpression: "artist = :a",
      ExpressionAttributeValues: { ":a": "ann" },
      ConsistentRead: true,
    }),
  );
  assert.deepEqual(byYear.Items.map((one) => one.song), ["two", "one"]);
  await followGenre();
}

async function followGenre() {
  const query = new QueryCommand({
    TableName,
    IndexName: "by_genre",
    KeyConditionExpression: "genre = :g AND plays > :n",
    ExpressionAttributeValues: { ":g": "pop", ":n": 1 },
    ScanIndexForward: false,
  });
  const deadline = Date.now() + FOLLOW_TIMEOUT_MS;
  for (;;) {
    const { Items } = await documents.send(query);
    const plays = Items.map((one) => one.plays).join();
    if (plays === "65,50") return;
    assert.ok(Date.now() < deadline, `by_genre holds ${plays}`);
  }
}

async function manyAtOnce() {
  const numbers = [...Array(25).keys()];
  const items = numbers.map((number) => ({ artist: "many", song: `song ${String(number).padStart(2, "0")}`, year: number }));
  const written = await documents.send(
    new BatchWriteCommand({ RequestItems: { [TableName]: items.map((Item) => ({ PutRequest: { Item } })) } }),
  );
  assert.deepEqual(written.UnprocessedItems, {});
  const Keys = items.map(({ artist, song }) => ({ artist, song }));
  const read = await documents.send(
    new BatchGetCommand({ RequestItems: { [TableName]: { Keys, ConsistentRead: true } } }),
  );
  assert.equal(read.Responses[TableName].length, 25);
  const seen = [];
  const pages = paginateQuery(
    { client: documents, pageSize: 4 },
    { TableName, KeyConditionExpression: "artist = :a", ExpressionAttributeValues: { ":a": "many" }, ConsistentRead: true },
  );
  for await (const page of pages) seen.push(...page.Items);
  assert.deepEqual(seen, items);
  let scanned = 0;
  for await (const page of paginateScan({ client: documents, pageSize: 5 }, { TableName, ConsistentRead: true })) {
    scanned += page.Count;
  }
  assert.equal(scanned, 27);
}

async function statements() {
  await client.send(
    new ExecuteStatementCommand({
      Statement: `INSERT INTO "${TableName}" VALUE {'artist': ?, 'song': ?, 'year': 1}`,
      Parameters: [{ S: "zoe" }, { S: "last" }],
    }),
  );
  const where = "WHERE artist = 'zoe' AND song = 'last'";
  const found = await client.send(
    new ExecuteStatementCommand({ Statement: `SELECT song FROM "${TableName}" ${where}`, ConsistentRead: true }),
  );
  assert.deepEqual(found.Items, [{ song: { S: "last" } }]);
  const { Responses } = await client.send(
    new BatchExecuteStatementCommand({ Statements: [{ Statement: `DELETE FROM "${TableName}" ${where}` }] }),
  );
  assert.equal(Responses[0].Error, undefined);
}

await makeTable();
try {
  await writeAndRead();
  await manyAtOnce();
  await statements();
} finally {
  await client.send(new DeleteTableCommand({ TableName }));
}
await waitUntilTableNotExists({ client, maxWaitTime: 60, minDelay: 1, maxDelay: 2 }, { TableName });
console.log("session done");
