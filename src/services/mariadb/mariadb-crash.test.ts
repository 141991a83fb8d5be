import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { newOperationId, type OperationId, type SourceId } from "../../base/index.ts";
import { makeTestContext, type MemoryBackup, restorable, takeBackup } from "../../component/conformance/index.ts";
import type { TargetContext } from "../../component/index.ts";
import { packBackup } from "../conformance/stored-backup.ts";
import type { CrashOrder } from "./conformance/crash-order.ts";
import { MariadbSource } from "./mariadb-source.ts";
import { MariadbTarget } from "./mariadb-target.ts";
import { startMariadb, type TestMariadb } from "./mariadb-test-server.ts";

const id = "service:db" as SourceId;
const program = fileURLToPath(new URL("conformance/restore-killed-at-step.ts", import.meta.url));
/** More than any step has. */
const mostPoints = 60;
let server: TestMariadb;
let folder: string;
let backupFile: string;
let backup: MemoryBackup;
let wanted = "";
let before = "";

beforeAll(async () => {
  server = await startMariadb(["--event-scheduler=OFF"]);
  folder = await mkdtemp(join(tmpdir(), "holdfast-mariadb-crash-"));
  await server.sql(...statements("wanted", 1));
  wanted = await liveState();
  backup = await takeBackup(new MariadbSource(id, { type: "mariadb", url: server.url("shop") }));
  backupFile = join(folder, "backup.json");
  await writeFile(backupFile, JSON.stringify(await packBackup(backup)));
  await server.sql(...statements("before", 2));
  before = await liveState();
  expect(before).not.toBe(wanted);
}, 60_000);
afterAll(async () => {
  await server.stop();
  await rm(folder, { recursive: true });
});

const target = (): MariadbTarget => new MariadbTarget(id, { type: "mariadb", url: server.url("shop") });

/** A database in which everything tells which of two it is, and one object is the same in both. */
function statements(which: string, n: number): string[] {
  return [
    "DROP DATABASE IF EXISTS shop",
    "CREATE DATABASE shop",
    "USE shop",
    "CREATE SEQUENCE numbers",
    "CREATE TABLE orders (id INT PRIMARY KEY, number INT DEFAULT NEXTVAL(numbers), what VARCHAR(20))",
    `INSERT INTO orders VALUES (1, ${n}, '${which}')`,
    `CREATE TABLE only_${which} (id INT PRIMARY KEY) ENGINE=MyISAM`,
    `CREATE TRIGGER on_order BEFORE INSERT ON orders FOR EACH ROW SET NEW.what = '${which}'`,
    `CREATE VIEW what AS SELECT '${which}' AS what FROM orders`,
    "CREATE VIEW same AS SELECT id FROM orders",
    `CREATE FUNCTION which() RETURNS VARCHAR(20) DETERMINISTIC RETURN '${which}'`,
    `CREATE EVENT clean ON SCHEDULE EVERY ${n} DAY STARTS '2035-01-01 00:00:00' DO DELETE FROM orders WHERE what = '${which}'`,
  ];
}

async function liveState(): Promise<string> {
  const lists = await Promise.all(
    [
      "SELECT TABLE_NAME, TABLE_TYPE, ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'shop' ORDER BY 1",
      "SELECT TABLE_NAME, COLUMN_NAME, COLUMN_DEFAULT FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'shop' ORDER BY 1, 2",
      "SELECT TRIGGER_NAME, ACTION_STATEMENT FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = 'shop' ORDER BY 1",
      "SELECT TABLE_NAME, VIEW_DEFINITION FROM information_schema.VIEWS WHERE TABLE_SCHEMA = 'shop' ORDER BY 1",
      "SELECT ROUTINE_NAME, ROUTINE_DEFINITION FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = 'shop' ORDER BY 1",
      "SELECT EVENT_NAME, EVENT_DEFINITION, INTERVAL_VALUE FROM information_schema.EVENTS WHERE EVENT_SCHEMA = 'shop' ORDER BY 1",
      "SELECT id, number, what FROM shop.orders ORDER BY 1",
    ].map((sql) => server.sql(sql)),
  );
  return JSON.stringify(lists);
}

const leftovers = async (): Promise<string[]> =>
  (await server.sql("SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME LIKE '%\\_hf\\_%'")).flat();

/** Lets a process take the step and die at the point. False if it got to the end. */
async function dieAt(order: CrashOrder): Promise<boolean> {
  const child = spawn(process.execPath, [program, JSON.stringify(order)], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, TMPDIR: folder },
  });
  const [code, signal] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
  expect(code === 0 || signal === "SIGKILL", `${order.step} exited with ${code ?? signal}`).toBe(true);
  return signal === "SIGKILL";
}

interface Crash {
  readonly context: TargetContext;
  readonly point: number;
}

/** One restore after the other, each killed a point later and ended by `check`, until a process gets to the end of the step. Returns the number of points. */
async function crashEverywhere(
  step: CrashOrder["step"],
  mode: CrashOrder["mode"],
  check: (crash: Crash) => Promise<"revert" | "settle">,
): Promise<number> {
  for (let killAt = 1; killAt < mostPoints; killAt += 1) {
    const operationId: OperationId = newOperationId();
    const workDirectory = join(folder, operationId);
    await mkdir(workDirectory);
    await using temporary = await makeTestContext({ contents: backup.contents, operationId });
    const context: TargetContext = { ...temporary, workDirectory };
    const first = target();
    if (step !== "stage") await first.stage(context, restorable(backup));
    if (step === "revert" || step === "settle") await first.swap(context, 10_000);
    const died = await dieAt({ url: server.url("shop"), operationId, workDirectory, backupFile, step, mode, killAt });
    const end = await check({ context, point: killAt });
    expect(await leftovers(), `${step} killed ${mode} at ${killAt}`).toEqual([]);
    // Closes what the first one keeps open for a swap.
    await first[end](context);
    if (end === "settle") await server.sql(...statements("before", 2));
    if (!died) return killAt - 1;
  }
  throw new Error(`${step} has more points than ${mostPoints}`);
}

describe("a restore of MariaDB whose process is killed with -9", { timeout: 900_000 }, () => {
  const isOldAfterRevert = async ({ context, point }: Crash): Promise<"revert"> => {
    await target().revert(context);
    expect(await liveState(), `killed at ${point}`).toBe(before);
    await target().revert(context);
    expect(await liveState(), `killed at ${point}, reverted twice`).toBe(before);
    return "revert";
  };

  it.each([
    ["stage", "between", 6],
    ["stage", "sent", 3],
    ["swap", "between", 12],
    ["swap", "sent", 1],
    ["revert", "between", 8],
    ["revert", "sent", 3],
  ] as const)("at any point of %s (%s statements) is as before after revert", async (step, mode, least) => {
    expect(await crashEverywhere(step, mode, isOldAfterRevert)).toBeGreaterThanOrEqual(least);
  });

  it.each([
    ["between", 3],
    ["sent", 1],
  ] as const)("at any point of settle (%s statements) is restored after settle", async (mode, least) => {
    const points = await crashEverywhere("settle", mode, async ({ context, point }) => {
      await target().settle(context);
      expect(await liveState(), `killed at ${point}`).toBe(wanted);
      return "settle";
    });
    expect(points).toBeGreaterThanOrEqual(least);
  });

  it("at any point of swap after the exchange of the tables can be settled instead", async () => {
    const seen = new Set<string>();
    await crashEverywhere("swap", "between", async ({ context, point }) => {
      const end = await target()
        .settle(context)
        .then(
          () => "settle" as const,
          () => "revert" as const,
        );
      seen.add(end);
      if (end === "revert") await target().revert(context);
      expect(await liveState(), `killed at ${point}`).toBe(end === "settle" ? wanted : before);
      return end;
    });
    expect([...seen].sort()).toEqual(["revert", "settle"]);
  });
});
