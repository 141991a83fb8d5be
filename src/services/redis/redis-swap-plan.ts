import { open, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { HoldfastError, type OperationId, systemErrorCode } from "../../base/index.ts";
import type { RedisConnection } from "./redis-connection.ts";
import { databaseCount, usedDatabases } from "./redis-server-facts.ts";
import { RespError, type RespReply } from "./resp-parser.ts";

/** A logical database that clients use and the spare one in which its new content is staged. */
export interface DatabasePair {
  readonly live: number;
  readonly staged: number;
  /** Keys staged, without the mark; 0 for one that the swap empties. */
  keys: number;
}

/** What a restore does to the server; kept in the work folder, ahead of every step. */
export interface RedisPlan {
  readonly pairs: DatabasePair[];
  /** True when all of the backup is staged. */
  complete: boolean;
  /** FUNCTION RESTORE payloads in base64; undefined where functions are left as they are. */
  functions?: { readonly staged: string; old?: string };
}

/**
 * The mark says whose a spare database is and on which side of the swap. It is in the spare database alone: the
 * transaction that swaps moves it back, so that clients never see it.
 */
export const stagedMark = (operation: OperationId): string => `holdfast:${operation}:staged`;
export const oldMark = (operation: OperationId): string => `holdfast:${operation}:old`;

const planPath = (workDirectory: string): string => join(workDirectory, "redis-restore.json");

export async function readPlan(workDirectory: string): Promise<RedisPlan | undefined> {
  try {
    return JSON.parse(await readFile(planPath(workDirectory), "utf8")) as RedisPlan;
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

export async function writePlan(workDirectory: string, plan: RedisPlan): Promise<void> {
  const temporary = `${planPath(workDirectory)}.new`;
  {
    await using file = await open(temporary, "w", 0o600);
    await file.writeFile(JSON.stringify(plan));
    await file.sync();
  }
  await rename(temporary, planPath(workDirectory));
}

/**
 * Takes an empty database that no one uses for `live`, notes it in the plan and marks it.
 * @throws HoldfastError SERVICE_UNSUPPORTED if there is none
 */
export async function claimSpare(
  connection: RedisConnection,
  claim: {
    readonly operation: OperationId;
    readonly workDirectory: string;
    readonly plan: RedisPlan;
    readonly live: number;
    /** Databases of the backup, which are no spares even while they are empty. */
    readonly reserved: ReadonlySet<number>;
  },
): Promise<DatabasePair> {
  const { plan, live } = claim;
  const count = await databaseCount(connection);
  const used = new Set([...(await usedDatabases(connection)), ...claim.reserved, live]);
  for (const pair of plan.pairs) used.add(pair.live).add(pair.staged);
  if (live >= count) throw tooFew(connection, count, `the backup holds database ${live}`);
  // From the top, because applications count from 0.
  for (let staged = count - 1; staged >= 0; staged -= 1) {
    if (used.has(staged)) continue;
    const pair: DatabasePair = { live, staged, keys: 0 };
    plan.pairs.push(pair);
    await writePlan(claim.workDirectory, plan);
    const mark = stagedMark(claim.operation);
    const replies = await transaction(connection, [
      ["SELECT", String(staged)],
      ["DBSIZE"],
      ["SET", mark, "1"],
      ["SELECT", "0"],
    ]);
    if (replies[1] === 0) return pair;
    // Somebody began to use it at this moment: it is theirs.
    await transaction(connection, [
      ["SELECT", String(staged)],
      ["DEL", mark],
      ["SELECT", "0"],
    ]);
    plan.pairs.pop();
    await writePlan(claim.workDirectory, plan);
  }
  throw tooFew(connection, count, `${used.size} are in use or needed for the backup`);
}

/**
 * Runs commands as one transaction and returns their replies.
 * @throws HoldfastError of the first command that failed, SERVICE_UNREACHABLE
 */
export async function transaction(
  connection: RedisConnection,
  commands: readonly (readonly (string | Uint8Array)[])[],
  timeoutMs?: number,
): Promise<readonly RespReply[]> {
  const queued = [["MULTI"], ...commands].map((command) => connection.send(command, timeoutMs));
  const executed = connection.send(["EXEC"], timeoutMs);
  const [replies, result] = await Promise.all([Promise.all(queued), executed]);
  const refused = replies.find((reply) => reply instanceof RespError);
  const failed = Array.isArray(result) ? result.find((reply) => reply instanceof RespError) : undefined;
  const error = refused ?? failed ?? (result instanceof RespError ? result : undefined);
  if (error instanceof RespError) {
    throw new HoldfastError(
      "COMMAND_FAILED",
      `Redis at ${connection.address.label} refused a step of the transaction: ${error.message}`,
      {
        facts: { server: connection.address.label },
      },
    );
  }
  return Array.isArray(result) ? result : [];
}

/** Where a pair stands: what its mark says. */
export async function pairState(
  connection: RedisConnection,
  operation: OperationId,
  pair: DatabasePair,
): Promise<"staged" | "swapped" | "none"> {
  const replies = await transaction(connection, [
    ["SELECT", String(pair.staged)],
    ["EXISTS", stagedMark(operation)],
    ["EXISTS", oldMark(operation)],
    ["SELECT", "0"],
  ]);
  if (replies[2] === 1) return "swapped";
  return replies[1] === 1 ? "staged" : "none";
}

/** Exchanges staged and live, the mark going back to the spare database under its other name. Needs no memory. */
export function swapCommands(operation: OperationId, { live, staged }: DatabasePair): (readonly string[])[] {
  return [
    ["SELECT", String(staged)],
    ["RENAME", stagedMark(operation), oldMark(operation)],
    ["SWAPDB", String(live), String(staged)],
    ["SELECT", String(live)],
    ["MOVE", oldMark(operation), String(staged)],
  ];
}

/** Exchanges back and drops what was staged. */
export function revertCommands(operation: OperationId, { live, staged }: DatabasePair): (readonly string[])[] {
  return [
    ["SELECT", String(staged)],
    ["DEL", oldMark(operation)],
    ["SWAPDB", String(live), String(staged)],
    ["SELECT", String(staged)],
    ["FLUSHDB", "ASYNC"],
  ];
}

export function dropCommands({ staged }: DatabasePair): (readonly string[])[] {
  return [
    ["SELECT", String(staged)],
    ["FLUSHDB", "ASYNC"],
  ];
}

function tooFew(connection: RedisConnection, count: number, why: string): HoldfastError {
  return new HoldfastError(
    "SERVICE_UNSUPPORTED",
    `Redis at ${connection.address.label} has too few logical databases to stage a restore: ${count}, of which ${why}. Nothing was changed.`,
    {
      facts: { server: connection.address.label, databases: count },
      remedy: "Set `databases` in the server's configuration to more than twice the number in use and restart it.",
    },
  );
}
