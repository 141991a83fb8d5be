import { HoldfastError, isHoldfastError, messageOf, type SourceId, throwIfAborted } from "../../base/index.ts";
import type { Restorable, StageReport, StoredEntry, SwapReport, Target, TargetContext } from "../../component/index.ts";
import { redisAddress, type RedisAddress, type RedisConfig } from "./redis-config.ts";
import { RedisConnection } from "./redis-connection.ts";
import { loadRdb } from "./redis-loader.ts";
import { MemoryWatch } from "./redis-memory.ts";
import { inspectServer, usedDatabases } from "./redis-server-facts.ts";
import {
  claimSpare,
  dropCommands,
  pairState,
  readPlan,
  type RedisPlan,
  revertCommands,
  swapCommands,
  transaction,
  writePlan,
} from "./redis-swap-plan.ts";
import { replyText, RespError } from "./resp-parser.ts";

const undoTimeoutMs = 60_000;

/**
 * Restores into spare logical databases of the same server and exchanges them with SWAPDB, all in one transaction: no
 * client sees half, and the append-only file and replicas get the same transaction.
 */
export class RedisTarget implements Target {
  readonly id: SourceId;
  readonly #address: RedisAddress;

  constructor(id: SourceId, config: RedisConfig) {
    this.id = id;
    this.#address = redisAddress(config);
  }

  async stage(context: TargetContext, backup: Restorable): Promise<StageReport> {
    await this.revert(context);
    using connections = await Connections.open(this.#address, context.signal);
    const { control, loader } = connections;
    const server = await inspectServer(control);
    if (server.isReplica) throw replicaTarget(this.#address);
    const memory = new MemoryWatch(control, () => context.clock.monotonicMs());
    await memory.require(usedMemory(backup));

    const plan: RedisPlan = { pairs: [], complete: false };
    const reserved = new Set(Object.keys(backup.description.counts).flatMap(databaseOf));
    const claim = async (live: number): Promise<number> => {
      const known = plan.pairs.find((pair) => pair.live === live);
      if (known !== undefined) return known.staged;
      const request = { operation: context.operationId, workDirectory: context.workDirectory, plan, live, reserved };
      return (await claimSpare(control, request)).staged;
    };
    // Database 0 always: a restore of nothing into nothing has a mark, too.
    for (const live of new Set([0, ...reserved, ...(await usedDatabases(control))])) await claim(live);

    let bytes = 0;
    let loaded = false;
    for await (const entry of backup.entries) {
      throwIfAborted(context.signal);
      const name = entry.path.toString("latin1");
      if (name === "acl.txt") await this.#compareAcl(control, context, entry);
      else if (name === "dump.rdb" && entry.content !== undefined) {
        bytes = entry.content.sizeBytes;
        context.progress({ expectedBytes: bytes });
        const report = await loadRdb(loader, {
          chunks: context.contents.read(entry.content, context.signal),
          stagedDatabase: claim,
          memory,
          signal: context.signal,
          onBytes: (done) => context.progress({ bytes: done }),
        });
        for (const pair of plan.pairs) pair.keys = report.keys.get(pair.live) ?? 0;
        if (server.hasFunctions && backup.description.facts["hasFunctions"] === true) {
          plan.functions = { staged: report.functions.toString("base64") };
        }
        if (report.moduleData) {
          context.warn({
            kind: "redis-module-data",
            message: "The backup holds data of modules outside keys, which was not restored.",
          });
        }
        loaded = true;
      } else if (name !== "") throw unknownEntry(this.#address, name);
    }
    throwIfAborted(context.signal);
    if (!loaded) throw unknownEntry(this.#address, undefined);
    plan.complete = true;
    await writePlan(context.workDirectory, plan);
    return { files: 1, bytes, reusedBytes: 0 };
  }

  async swap(context: TargetContext, deadlineMs: number): Promise<SwapReport> {
    const startedAt = context.clock.monotonicMs();
    const plan = await readPlan(context.workDirectory);
    if (plan?.complete !== true) throw swapFailed(this.#address, "nothing is staged");
    const connection = await RedisConnection.open(this.#address);
    try {
      const left = Math.max(1, deadlineMs - (context.clock.monotonicMs() - startedAt));
      await this.#exchange(connection, context, plan, left);
    } catch (error) {
      if (isHoldfastError(error, "SERVICE_SWAP_FAILED")) throw error;
      throw swapFailed(this.#address, messageOf(error), error);
    } finally {
      connection.close();
    }
    const durationMs = context.clock.monotonicMs() - startedAt;
    return { durationMs, facts: { method: "swapdb", databases: plan.pairs.length } };
  }

  /** All of it: the server drops what was staged in the background, in the transaction that exchanges back. */
  async swapBack(context: TargetContext): Promise<void> {
    await this.revert(context);
  }

  async revert(context: TargetContext): Promise<void> {
    const plan = await readPlan(context.workDirectory);
    if (plan === undefined) return;
    const connection = await RedisConnection.open(this.#address);
    try {
      const states = await Promise.all(plan.pairs.map((pair) => pairState(connection, context.operationId, pair)));
      const commands = plan.pairs.flatMap((pair, index) => {
        if (states[index] === "swapped") return revertCommands(context.operationId, pair);
        return states[index] === "staged" ? dropCommands(pair) : [];
      });
      const old = plan.functions?.old;
      const functions = states.includes("swapped") && old !== undefined ? [functionRestore(old)] : [];
      if (commands.length > 0)
        await transaction(connection, [...functions, ...commands, ["SELECT", "0"]], undoTimeoutMs);
    } finally {
      connection.close();
    }
  }

  async settle(context: TargetContext): Promise<void> {
    const plan = await readPlan(context.workDirectory);
    if (plan === undefined) return;
    const connection = await RedisConnection.open(this.#address);
    try {
      const states = await Promise.all(plan.pairs.map((pair) => pairState(connection, context.operationId, pair)));
      // A server that lost its last moments in a crash can be back before the swap: then it is done again.
      if (states.includes("staged")) await this.#exchange(connection, context, plan, undoTimeoutMs);
      const commands = plan.pairs.flatMap((pair, index) => (states[index] === "none" ? [] : dropCommands(pair)));
      if (commands.length > 0) await transaction(connection, [...commands, ["SELECT", "0"]], undoTimeoutMs);
    } finally {
      connection.close();
    }
  }

  async #exchange(
    connection: RedisConnection,
    context: TargetContext,
    plan: RedisPlan,
    timeoutMs: number,
  ): Promise<void> {
    const { operationId, workDirectory } = context;
    // A database that came into use after staging is emptied, too, or the result would not be the backup.
    const mine = new Set(plan.pairs.flatMap(({ live, staged }) => [live, staged]));
    for (const live of await usedDatabases(connection)) {
      if (mine.has(live)) continue;
      await claimSpare(connection, { operation: operationId, workDirectory, plan, live, reserved: mine });
    }
    const staged = [];
    for (const pair of plan.pairs) {
      const state = await pairState(connection, operationId, pair);
      if (state === "none") throw swapFailed(this.#address, `the staged database ${pair.staged} is gone`);
      if (state === "swapped") continue;
      await connection.call(["SELECT", String(pair.staged)]);
      const size = Number(await connection.call(["DBSIZE"]));
      if (size > pair.keys + 1)
        throw swapFailed(this.#address, `somebody wrote to database ${pair.staged}, where the backup was staged`);
      staged.push(pair);
    }
    if (staged.length === 0) return;
    const functions = plan.functions === undefined ? [] : [functionRestore(plan.functions.staged)];
    if (plan.functions !== undefined && plan.functions.old === undefined) {
      const old = await connection.call(["FUNCTION", "DUMP"]);
      plan.functions.old = Buffer.isBuffer(old) ? old.toString("base64") : "";
      await writePlan(workDirectory, plan);
    }
    const commands = staged.flatMap((pair) => swapCommands(operationId, pair));
    const replies = await transaction(connection, [...functions, ...commands, ["SELECT", "0"]], timeoutMs);
    // MOVE answers 0 where it could not.
    if (replies.includes(0)) throw swapFailed(this.#address, "a mark could not be moved");
  }

  async #compareAcl(control: RedisConnection, context: TargetContext, entry: StoredEntry): Promise<void> {
    if (entry.content === undefined) throw unknownEntry(this.#address, "acl.txt");
    const parts: Uint8Array[] = [];
    for await (const chunk of context.contents.read(entry.content, context.signal)) parts.push(chunk);
    const reply = await control.send(["ACL", "LIST"]);
    const now =
      reply instanceof RespError || !Array.isArray(reply) ? undefined : `${reply.map(replyText).sort().join("\n")}\n`;
    if (now === Buffer.concat(parts).toString()) return;
    context.warn({
      kind: "redis-acl-differs",
      message: `The users of Redis at ${this.#address.label} differ from the backup's; they were left as they are. The backup's are in acl.txt.`,
    });
  }
}

/** Two connections: the one that loads has long queues, the other must answer at once. */
class Connections implements Disposable {
  readonly control: RedisConnection;
  readonly loader: RedisConnection;

  private constructor(control: RedisConnection, loader: RedisConnection) {
    this.control = control;
    this.loader = loader;
  }

  static async open(address: RedisAddress, signal: AbortSignal): Promise<Connections> {
    const control = await RedisConnection.open(address, signal);
    try {
      return new Connections(control, await RedisConnection.open(address, signal));
    } catch (error) {
      control.close();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.control.close();
    this.loader.close();
  }
}

const functionRestore = (payload: string): (string | Buffer)[] => [
  "FUNCTION",
  "RESTORE",
  Buffer.from(payload, "base64"),
  "FLUSH",
];

const databaseOf = (count: string): number[] => (/^keys:db\d+$/.test(count) ? [Number(count.slice(7))] : []);

function usedMemory({ description }: Restorable): number {
  const bytes = description.facts["usedMemoryBytes"];
  return typeof bytes === "number" && Number.isFinite(bytes) ? bytes : 0;
}

function replicaTarget(address: RedisAddress): HoldfastError {
  return new HoldfastError(
    "SERVICE_UNSUPPORTED",
    `Redis at ${address.label} is a replica: it takes no data but its master's.`,
    {
      facts: { server: address.label },
      remedy: "Name the master in the service's url; its replicas follow.",
    },
  );
}

function unknownEntry(address: RedisAddress, name: string | undefined): HoldfastError {
  const what = name === undefined ? "holds no dump.rdb" : `holds ${JSON.stringify(name)}, which does not belong there`;
  return new HoldfastError("ENTRY_UNSAFE", `The backup of Redis at ${address.label} ${what}. Nothing was changed.`);
}

function swapFailed(address: RedisAddress, why: string, cause?: unknown): HoldfastError {
  return new HoldfastError(
    "SERVICE_SWAP_FAILED",
    `The databases of Redis at ${address.label} could not be exchanged: ${why}.`,
    {
      facts: { server: address.label },
      remedy: "Nothing is lost: what was exchanged is exchanged back. See the cause and restore again.",
      cause,
    },
  );
}
