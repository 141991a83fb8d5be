// A process of its own for the tests: takes one step of a restore and kills itself with SIGKILL at a given point of it. Points are
// counted before and after each statement that changes something and each journal record ("between"), or after a batch of them
// has been sent, so that the orphaned client program goes on with it ("sent"). Argument: `CrashOrder` as JSON. Prints "done" if it
// got to the end.
import { setImmediate } from "node:timers/promises";
import type { OperationId, SourceId } from "../../../base/index.ts";
import { makeTestContext, restorable } from "../../../component/conformance/index.ts";
import { MemoryContents } from "../../../component/index.ts";
import { readFile } from "node:fs/promises";
import { type StoredBackup, unpackBackup } from "../../conformance/stored-backup.ts";
import { MariadbSession } from "../mariadb-session.ts";
import { MariadbTarget } from "../mariadb-target.ts";
import { SwapJournal } from "../swap-journal.ts";
import type { CrashOrder } from "./crash-order.ts";

const order = JSON.parse(process.argv[2] ?? "") as CrashOrder;
const changes = /^(CREATE|DROP|RENAME|ALTER|LOCK|UNLOCK|INSERT)\b/;
let point = 0;

function pass(): void {
  point += 1;
  if (point === order.killAt) process.kill(process.pid, "SIGKILL");
}

type QueryAll = (this: MariadbSession, statements: readonly string[]) => Promise<string[][][]>;
const queryAll = Reflect.get(MariadbSession.prototype, "queryAll") as QueryAll;
MariadbSession.prototype.queryAll = async function (statements) {
  if (!statements.some((sql) => changes.test(sql))) return queryAll.call(this, statements);
  if (order.mode === "sent") {
    const answers = queryAll.call(this, statements);
    // The client program has the batch in its input by then.
    await setImmediate();
    pass();
    return answers;
  }
  const answers: string[][][] = [];
  for (const sql of statements) {
    answers.push(...(await queryAll.call(this, [sql])));
    if (changes.test(sql)) pass();
  }
  return answers;
};

for (const name of ["writeStage", "writeSwap", "writeSettled"] as const) {
  const write = SwapJournal.prototype[name] as (this: SwapJournal, record?: unknown) => Promise<void>;
  SwapJournal.prototype[name] = async function (this: SwapJournal, record?: unknown) {
    pass();
    await write.call(this, record);
    pass();
  };
}

const stored = JSON.parse(await readFile(order.backupFile, "utf8")) as StoredBackup;
const backup = await unpackBackup(stored, new MemoryContents());
await using temporary = await makeTestContext({
  contents: backup.contents,
  operationId: order.operationId as OperationId,
});
const context = { ...temporary, workDirectory: order.workDirectory };
const target = new MariadbTarget("service:db" as SourceId, { type: "mariadb", url: order.url });
if (order.step === "stage") await target.stage(context, restorable(backup));
else if (order.step === "swap") await target.swap(context, 10_000);
else await target[order.step](context);
process.stdout.write("done\n", () => process.exit(0));
