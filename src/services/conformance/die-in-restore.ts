// A process of its own for the tests: takes one step of a restore and kills itself with SIGKILL at a given point of it. Points are
// before and after each change of a file (its bytes, names, modes, size), each statement that it gives SQLite, each transaction
// or command that it sends to Redis, and each program that it starts. Argument: `CrashOrder` as JSON.
import childProcess from "node:child_process";
import fs from "node:fs";
import promises, { readFile } from "node:fs/promises";
import { createRequire, syncBuiltinESMExports } from "node:module";
import { Socket } from "node:net";
import type { OperationId, SourceId } from "../../base/index.ts";
import { makeTestContext, restorable } from "../../component/conformance/index.ts";
import { MemoryContents, type Target } from "../../component/index.ts";
import type { CrashOrder } from "./crash-order.ts";
import { type StoredBackup, unpackBackup } from "./stored-backup.ts";

const order = JSON.parse(process.argv[2] ?? "") as CrashOrder;
const stored = JSON.parse(await readFile(order.backupFile, "utf8")) as StoredBackup;
const backup = await unpackBackup(stored, new MemoryContents());
const temporary = await makeTestContext({ contents: backup.contents, operationId: order.operationId as OperationId });
const context = { ...temporary, workDirectory: order.workDirectory };
let point = 0;
let counting = false;

function pass(): void {
  if (!counting) return;
  point += 1;
  if (point === order.killAt) process.kill(process.pid, "SIGKILL");
}

/** Makes a point before and, when it is done, after each call of these methods. */
function watch(object: object, names: readonly string[]): void {
  for (const name of names) {
    const original: unknown = Reflect.get(object, name);
    if (typeof original !== "function") throw new Error(`There is no ${name}.`);
    const watched = function (this: unknown, ...args: unknown[]): unknown {
      pass();
      const result: unknown = Reflect.apply(original, this, args);
      if (result instanceof Promise) return result.finally(pass);
      pass();
      return result;
    };
    Reflect.set(object, name, watched);
  }
}

watch(promises, ["rename", "link", "rm", "chmod", "chown"]);
watch(fs, ["writeSync"]);
watch(childProcess, ["spawn"]);
watch(Socket.prototype, ["write"]);
{
  await using handle = await promises.open("/dev/null", "r");
  const prototype: unknown = Object.getPrototypeOf(handle);
  if (typeof prototype !== "object" || prototype === null) throw new Error("A file has no prototype.");
  watch(prototype, ["write", "writeFile", "sync", "truncate", "chmod"]);
}
const sqlite = createRequire(import.meta.url)("node:sqlite") as typeof import("node:sqlite");
watch(sqlite.DatabaseSync.prototype, ["exec"]);
watch(sqlite, ["backup"]);
syncBuiltinESMExports();

// Only now, so that the targets see the watched functions, also where they take them from a module's object.
const id = "service:crash" as SourceId;
const target = await makeTarget(order.config);
counting = true;
if (order.step === "stage") await target.stage(context, restorable(backup));
else if (order.step === "swap") await target.swap(context, 10_000);
else await target[order.step](context);
counting = false;
await temporary[Symbol.asyncDispose]();
process.exit(0);

async function makeTarget(config: CrashOrder["config"]): Promise<Target> {
  if (config.type === "sqlite") return new (await import("../sqlite/sqlite-target.ts")).SqliteTarget(id, config);
  if (config.type === "redis") return new (await import("../redis/redis-target.ts")).RedisTarget(id, config);
  return new (await import("../command/command-target.ts")).CommandTarget(id, config);
}
