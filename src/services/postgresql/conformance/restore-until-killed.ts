// A process of its own for the tests to kill: backs a database up, sets its `t` to 9, and restores the backup, step by step.
// Arguments: URL, operation id. Prints each step before it takes it.
import { makeTestContext, restorable, takeBackup } from "../../../component/conformance/index.ts";
import type { OperationId } from "../../../base/index.ts";
import { PostgresqlConnection } from "../postgresql-connection.ts";
import { PostgresqlSession } from "../postgresql-session.ts";
import { PostgresqlSource } from "../postgresql-source.ts";
import { PostgresqlTarget } from "../postgresql-target.ts";
import { sourceId } from "./source-id.ts";

const [url = "", operationId = ""] = process.argv.slice(2);
const config = { type: "postgresql", url } as const;
const say = (step: string): void => void process.stdout.write(`${step}\n`);

say("prepare");
const backup = await takeBackup(new PostgresqlSource(sourceId, config), {
  afterFreeze: async () => say("read"),
});
await using context = await makeTestContext({
  contents: backup.contents,
  operationId: operationId as OperationId,
});
const target = new PostgresqlTarget(sourceId, config);
say("update");
{
  await using session = await PostgresqlSession.open(new PostgresqlConnection(config, context.operationId));
  await session.execute("UPDATE t SET n = 9");
}
say("stage");
await target.stage(context, restorable(backup));
say("swap");
await target.swap(context, 10_000);
say("swapped");
process.stdin.resume();
