import { chmod, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { HoldfastError, makeDirectories, systemErrorCode, throwIfAborted, writePrivateFile } from "../../base/index.ts";
import { fileProblem } from "../../config/index.ts";
import { tryLockFile } from "../../engine/index.ts";
import type { CliHost } from "../host.ts";

const signIn = z.strictObject({
  /** Who it is, for people. */
  user: z.string(),
  /** Of a machine user; stays as it is. */
  apiToken: z.string().optional(),
  /** Of a person; serves once. */
  refreshToken: z.string().optional(),
  accessToken: z.string().optional(),
  /** ISO time until which the access token is valid. */
  accessUntil: z.string().optional(),
});
export type StoredSignIn = z.output<typeof signIn>;

const fileShape = z.strictObject({ version: z.literal(1), servers: z.record(z.string(), signIn) });

const lockedAgainAfterMs = 50;
const longestLockMs = 60_000;

/**
 * What `holdfast login` has stored: `$XDG_CONFIG_HOME/holdfast/sign-ins.json`, mode 0600, by the servers' URLs. Changes are made
 * under a lock, since a refresh token that two processes use ends the sign-in.
 */
export class StoredSignIns {
  /** Undefined where there is no home to keep it in. */
  readonly #home: string | undefined;
  readonly #host: CliHost;

  constructor(host: CliHost) {
    this.#host = host;
    this.#home = configHome(host);
  }

  /** @throws HoldfastError STATE_UNUSABLE */
  async get(server: string): Promise<StoredSignIn | undefined> {
    return this.#home === undefined ? undefined : (await this.#read()).get(server);
  }

  /**
   * Gives the server's sign-in to `change`, alone, and keeps what it returns; undefined removes it. Returns the same.
   * @throws HoldfastError STATE_UNUSABLE, TIMEOUT, INPUT_INVALID if there is no home, INTERRUPTED, and what `change` throws
   */
  async change(
    server: string,
    change: (before: StoredSignIn | undefined) => Promise<StoredSignIn | undefined>,
  ): Promise<StoredSignIn | undefined> {
    await this.#makeFolder();
    const lock = await this.#lock();
    try {
      const all = await this.#read();
      const after = await change(all.get(server));
      if (after === undefined) all.delete(server);
      else all.set(server, after);
      await this.#write(all);
      return after;
    } finally {
      lock.release();
    }
  }

  get #file(): string {
    if (this.#home !== undefined) return join(this.#home, "holdfast", "sign-ins.json");
    throw new HoldfastError("INPUT_INVALID", "There is no place to keep a sign-in: HOME is not set.", {
      remedy: "Set HOME or XDG_CONFIG_HOME, or use HOLDFAST_TOKEN.",
    });
  }

  async #lock(): Promise<{ release(): void }> {
    const { clock, signal } = this.#host;
    const sinceMs = clock.monotonicMs();
    for (;;) {
      throwIfAborted(signal);
      const lock = tryLockFile(`${this.#file}.lock`);
      if (lock !== undefined) return lock;
      if (clock.monotonicMs() - sinceMs > longestLockMs) {
        throw new HoldfastError("TIMEOUT", `Another process has ${this.#file} locked for ${longestLockMs / 1000} s.`);
      }
      await delay(lockedAgainAfterMs);
    }
  }

  async #read(): Promise<Map<string, StoredSignIn>> {
    let text: string;
    try {
      text = await readFile(this.#file, "utf8");
    } catch (error) {
      if (systemErrorCode(error) === "ENOENT") return new Map();
      throw this.#unusable(fileProblem(error), error);
    }
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (error) {
      throw this.#unusable("it is no JSON", error);
    }
    const { success, data, error } = fileShape.safeParse(value);
    if (!success) throw this.#unusable("it is not as holdfast login writes it", error);
    return new Map(Object.entries(data.servers));
  }

  async #makeFolder(): Promise<void> {
    try {
      await makeDirectories(dirname(this.#file), 0o700);
      await chmod(dirname(this.#file), 0o700);
    } catch (error) {
      throw this.#unusable(fileProblem(error), error);
    }
  }

  async #write(all: ReadonlyMap<string, StoredSignIn>): Promise<void> {
    try {
      const text = JSON.stringify({ version: 1, servers: Object.fromEntries(all) }, null, 2);
      await writePrivateFile(this.#file, `${text}\n`);
    } catch (error) {
      throw this.#unusable(fileProblem(error), error);
    }
  }

  #unusable(why: string, cause: unknown): HoldfastError {
    return new HoldfastError("STATE_UNUSABLE", `The file ${this.#file} cannot be used: ${why}.`, {
      facts: { file: this.#file },
      remedy: "Look at it; if it is damaged, remove it and sign in again:  holdfast login",
      cause,
    });
  }
}

function configHome({ env }: CliHost): string | undefined {
  const [config = "", home = ""] = [env["XDG_CONFIG_HOME"], env["HOME"]];
  if (config.startsWith("/")) return config;
  return home.startsWith("/") ? join(home, ".config") : undefined;
}
