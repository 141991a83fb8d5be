import { createReadStream } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { HoldfastError, isHoldfastError, type SourceId, throwIfAborted } from "../../base/index.ts";
import {
  type Entry,
  type FreezePoint,
  generatedDirectory,
  generatedFile,
  type Source,
  type SourceContext,
  type SourceDescription,
} from "../../component/index.ts";
import { canonicalRdb, emptyRdbContents } from "./rdb-canonical.ts";
import { redisAddress, type RedisAddress, type RedisConfig } from "./redis-config.ts";
import { RedisConnection } from "./redis-connection.ts";
import { inspectServer, readInfo, type RedisServer } from "./redis-server-facts.ts";
import { changeSettings, notedSettings, restoreSettings } from "./redis-settings.ts";
import { RedisSnapshot } from "./redis-snapshot.ts";
import { replyText, RespError } from "./resp-parser.ts";

const pollMs = 3;

/**
 * A Redis or Valkey server with all its logical databases. The freeze point is the fork for a replica's snapshot; the
 * snapshot is spooled to the work folder at once, so that the server is rid of us whatever the repository's pace.
 * Yields `dump.rdb` (canonical, see `canonicalRdb`) and, where readable, `acl.txt`.
 */
export class RedisSource implements Source {
  readonly id: SourceId;
  readonly #address: RedisAddress;
  #context: SourceContext | undefined;
  #control: RedisConnection | undefined;
  #server: RedisServer | undefined;
  #snapshot: RedisSnapshot | undefined;
  #frozenAt: Date | undefined;
  #acl: string | undefined;
  #usedMemoryBytes = 0;
  readonly #contents = emptyRdbContents();

  constructor(id: SourceId, config: RedisConfig) {
    this.id = id;
    this.#address = redisAddress(config);
  }

  async prepare(context: SourceContext): Promise<void> {
    this.#context = context;
    const control = await RedisConnection.open(this.#address, context.signal);
    this.#control = control;
    this.#server = await inspectServer(control);
    await this.#checkCommands(control);
    if (this.#server.isReplica) await this.#checkReplica(control, context);
    // Saves that are under way would delay the fork: their end is waited for here, where nobody waits for us.
    while (await childRuns(control)) {
      throwIfAborted(context.signal);
      await delay(50, undefined, { signal: context.signal }).catch(() => throwIfAborted(context.signal));
    }
    const diskless = await changeSettings(control, this.#server, context.workDirectory);
    this.#snapshot = await RedisSnapshot.prepare(this.#address, {
      diskless,
      path: this.#spoolPath(context),
      signal: context.signal,
    });
  }

  async freeze(deadlineMs: number): Promise<FreezePoint> {
    const { control, snapshot, context } = this.#prepared();
    const startedAt = context.clock.monotonicMs();
    const left = (): number => deadlineMs - (context.clock.monotonicMs() - startedAt);
    let stats: ReadonlyMap<string, string>;
    try {
      // With no child running at this moment, any snapshot we are given is of a fork after it: never one that began
      // before the hold.
      while (await childRuns(control, left())) {
        if (left() <= pollMs) throw busy(this.#address, deadlineMs);
        await delay(pollMs);
      }
      await snapshot.begin(left());
      stats = await readInfo(control, "stats", Math.max(1, left()));
    } catch (error) {
      await snapshot.close();
      // A control connection that gave up at the deadline is the same news as a server that did not fork in time.
      if (isHoldfastError(error, "SERVICE_UNREACHABLE") && left() <= 0) throw busy(this.#address, deadlineMs, error);
      throw error;
    }
    this.#frozenAt = context.clock.now();
    const durationMs = context.clock.monotonicMs() - startedAt;
    return {
      at: this.#frozenAt,
      durationMs,
      facts: { method: "replication snapshot", forkMs: Number(stats.get("latest_fork_usec") ?? 0) / 1000 },
    };
  }

  async *read(signal: AbortSignal): AsyncIterable<Entry> {
    const { control, snapshot, context } = this.#prepared();
    const at = this.#frozenAt ?? context.clock.now();
    throwIfAborted(signal);
    await restoreSettings(control, context.workDirectory);
    await this.#readAcl(control);
    this.#usedMemoryBytes = Number((await readInfo(control, "memory")).get("used_memory") ?? 0);
    yield generatedDirectory("", at);
    const acl = this.#acl;
    if (acl !== undefined) {
      yield generatedFile("acl.txt", at, async function* () {
        yield Buffer.from(acl);
      });
    }
    const abort = (): void => void snapshot.close();
    signal.addEventListener("abort", abort, { once: true });
    try {
      await snapshot.complete();
    } catch (error) {
      throwIfAborted(signal);
      throw error;
    } finally {
      signal.removeEventListener("abort", abort);
    }
    const path = this.#spoolPath(context);
    yield generatedFile("dump.rdb", at, (streamSignal) =>
      canonicalRdb(createReadStream(path, { highWaterMark: 1 << 20 }), {
        directory: context.workDirectory,
        contents: this.#contents,
        signal: streamSignal,
      }),
    );
    await rm(path, { force: true });
    if (this.#contents.moduleData) {
      context.warn({
        kind: "redis-module-data",
        message: `Redis at ${this.#address.label} holds data of modules outside keys: it is in dump.rdb, but a restore into a running server leaves it out.`,
      });
    }
  }

  describe(): SourceDescription {
    const counts: Record<string, number> = { functions: this.#contents.functions };
    for (const [database, keys] of this.#contents.keys) counts[`keys:db${database}`] = keys;
    const facts = {
      rdbVersion: this.#contents.version,
      hasFunctions: this.#server?.hasFunctions ?? false,
      usedMemoryBytes: this.#usedMemoryBytes,
      acl: this.#acl !== undefined,
    };
    const engineVersion = this.#server?.version;
    return {
      kind: "redis",
      ...(engineVersion === undefined ? {} : { engineVersion }),
      counts,
      fingerprints: {},
      facts,
    };
  }

  async dispose(): Promise<void> {
    await this.#snapshot?.close();
    const context = this.#context;
    if (context === undefined) return;
    await rm(this.#spoolPath(context), { force: true });
    this.#control?.close();
    try {
      await this.#putBack(context);
    } catch (error) {
      if (!isHoldfastError(error, "SERVICE_UNREACHABLE")) throw error;
      // A server that has died has lost the changed settings with the rest of its memory.
      context.warn({
        kind: "redis-settings-changed",
        message: `Redis at ${this.#address.label} could not be reached to put back repl-diskless-sync and its delay; if it has not been restarted, do it by hand.`,
      });
    }
  }

  async recover(context: SourceContext): Promise<void> {
    this.#context ??= context;
    await this.#putBack(context);
    await rm(this.#spoolPath(context), { force: true });
  }

  /** On a connection of its own: the one of the backup may be what failed. */
  async #putBack(context: SourceContext): Promise<void> {
    if ((await notedSettings(context.workDirectory)) === undefined) return;
    const connection = await RedisConnection.open(this.#address);
    try {
      await restoreSettings(connection, context.workDirectory);
    } finally {
      connection.close();
    }
  }

  async #readAcl(control: RedisConnection): Promise<void> {
    const reply = await control.send(["ACL", "LIST"]);
    if (reply instanceof RespError || !Array.isArray(reply)) return;
    this.#acl = `${reply.map(replyText).sort().join("\n")}\n`;
  }

  async #checkCommands(control: RedisConnection): Promise<void> {
    const reply = await control.send(["COMMAND", "INFO", "psync"]);
    const missing = Array.isArray(reply) && (reply[0] === null || (Array.isArray(reply[0]) && reply[0].length === 0));
    const dryRun =
      this.#address.user === undefined
        ? undefined
        : await control.send(["ACL", "DRYRUN", this.#address.user, "PSYNC", "?", "-1"]);
    const denied = Buffer.isBuffer(dryRun) && dryRun.toString().includes("no permissions");
    if (!missing && !denied) return;
    throw new HoldfastError(
      "SERVICE_PERMISSION_MISSING",
      `Redis at ${this.#address.label} ${missing ? "has no command PSYNC" : "does not permit PSYNC"}, by which a snapshot is taken.`,
      {
        facts: { server: this.#address.label },
        remedy: missing
          ? "Do not rename PSYNC in the server's configuration; hosted servers that hide it cannot be backed up this way."
          : `Give the user the right: ACL SETUSER ${this.#address.user ?? "default"} +psync +replconf`,
      },
    );
  }

  async #checkReplica(control: RedisConnection, context: SourceContext): Promise<void> {
    const replication = await readInfo(control, "replication");
    if (replication.get("master_link_status") !== "up") {
      throw new HoldfastError(
        "SERVICE_UNREACHABLE",
        `Redis at ${this.#address.label} is a replica without a link to its master.`,
        {
          remedy: "Restore the link, or name the master in the service's url.",
        },
      );
    }
    context.warn({
      kind: "redis-replica",
      message: `Redis at ${this.#address.label} is a replica: writes that its master had acknowledged but not yet sent may be missing.`,
    });
  }

  #spoolPath(context: SourceContext): string {
    return join(context.workDirectory, "snapshot.rdb");
  }

  #prepared(): { control: RedisConnection; snapshot: RedisSnapshot; context: SourceContext } {
    if (this.#control === undefined || this.#snapshot === undefined || this.#context === undefined) {
      throw new TypeError("The Redis source was not prepared.");
    }
    return { control: this.#control, snapshot: this.#snapshot, context: this.#context };
  }
}

/** True while the server has a child that saves or rewrites: then it forks for nobody else. */
async function childRuns(control: RedisConnection, timeoutMs?: number): Promise<boolean> {
  const timeout = timeoutMs === undefined ? undefined : Math.max(1, timeoutMs);
  const text = replyText(await control.call(["INFO", "persistence"], timeout));
  return /^(rdb_bgsave_in_progress|aof_rewrite_in_progress|module_fork_in_progress):1/m.test(text);
}

function busy(address: RedisAddress, deadlineMs: number, cause?: unknown): HoldfastError {
  return new HoldfastError(
    "FREEZE_FAILED",
    `Redis at ${address.label} could not fork within ${Math.round(deadlineMs)} ms: a save was running, or it did not answer.`,
    {
      facts: { server: address.label, deadlineMs: Math.round(deadlineMs) },
      remedy: "Try again when the server's own save or rewrite has ended (INFO persistence).",
      cause,
    },
  );
}
