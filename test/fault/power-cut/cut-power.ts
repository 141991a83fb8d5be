import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { type ProjectId, systemClock } from "../../../src/base/index.ts";
import { type ActivityId, openCatalog } from "../../../src/control/index.ts";

const writerProgram = fileURLToPath(new URL("writer.ts", import.meta.url));
const project = "shop" as ProjectId;

/** A process that writes to a catalog, and what the catalog has acknowledged to it. */
export class CatalogWriter {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  #text = "";
  #waiting: { readonly count: number; readonly resolve: () => void } | undefined;

  constructor(file: string) {
    this.#child = spawn(process.execPath, [writerProgram, file], { stdio: ["ignore", "pipe", "inherit"] });
    this.#ended = once(this.#child, "exit");
    this.#child.stdout?.on("data", (chunk) => {
      this.#text += String(chunk);
      if (this.#waiting !== undefined && this.acknowledged.length >= this.#waiting.count) this.#waiting.resolve();
    });
  }

  get acknowledged(): readonly string[] {
    return this.#text.split("\n").slice(0, -1);
  }

  /** Resolves once so many things more have been acknowledged. @throws if the process ends before */
  async writeMore(count: number): Promise<void> {
    const reached = Promise.withResolvers<void>();
    this.#waiting = { count: this.acknowledged.length + count, resolve: reached.resolve };
    const ended = this.#ended.then(() => {
      throw new Error("The writer ended.");
    });
    await Promise.race([reached.promise, ended]);
  }

  /** Stands still while `copy` runs, in the middle of whatever it does: what is acknowledged before that is handed in. */
  async cut<T>(copy: (acknowledged: readonly string[]) => T): Promise<T> {
    this.#child.kill("SIGSTOP");
    try {
      return copy(this.acknowledged);
    } finally {
      this.#child.kill("SIGCONT");
    }
  }

  async stop(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }
}

/** What the catalog in the file does not have of what it acknowledged, and what SQLite finds wrong with it. */
export async function missingIn(file: string, acknowledged: readonly string[]): Promise<string[]> {
  const problems: string[] = [];
  const catalog = await openCatalog({ file }, { clock: systemClock });
  try {
    const backups = new Set<string>((await catalog.list(project)).map(({ id }) => id));
    const activities = new Map(
      (await catalog.activities.list(project, { limit: 1_000_000 })).map((activity) => [activity.id, activity]),
    );
    for (const line of acknowledged) {
      const [what, id = "", sequence] = line.split(" ");
      const activity = activities.get(id as ActivityId);
      const isThere =
        what === "backup"
          ? backups.has(id)
          : what === "log"
            ? (await catalog.activities.log(project, id as ActivityId, { from: Number(sequence), limit: 1 })).length ===
              1
            : what === "ended"
              ? activity?.state === "complete"
              : activity !== undefined;
      if (!isThere) problems.push(line);
    }
  } finally {
    await catalog.close();
  }
  const database = new DatabaseSync(file);
  const [check] = Object.values(database.prepare("PRAGMA integrity_check").get() ?? {});
  database.close();
  if (check !== "ok") problems.push(`integrity_check: ${String(check)}`);
  return problems;
}
