import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { newOperationId, type SourceId } from "../../base/index.ts";
import { makeTestContext, type MemoryBackup, restorable } from "../../component/conformance/index.ts";
import type { Target, TargetContext } from "../../component/index.ts";
import type { CrashOrder, CrashStep } from "./crash-order.ts";
import { packBackup } from "./stored-backup.ts";

const program = fileURLToPath(new URL("die-in-restore.ts", import.meta.url));
/** More than any step has. */
const mostPoints = 400;

export const crashId = "service:crash" as SourceId;

export interface CrashSubject {
  readonly config: CrashOrder["config"];
  readonly backup: MemoryBackup;
  /** An empty folder of the test's own. */
  readonly folder: string;
  target(): Target;
  /** What a client sees. */
  liveState(): Promise<string>;
  /** Names of what is staged or kept; empty when all is over. */
  leftovers(): Promise<readonly string[]>;
  /** Brings the live data back to what it was before the first restore. */
  reset(): Promise<void>;
  /** Only every so many-th point; default 1. */
  readonly every?: number;
}

/**
 * Restores again and again, each time in a process that is killed with -9 a point later in `step`, and recovers: after a death in stage,
 * swap or revert the old data has to be live again, after one in settle the backup's. Until a process gets to the end of the step.
 * Returns the number of points at which one died.
 */
export async function crashEverywhere(subject: CrashSubject, step: CrashStep): Promise<number> {
  const before = await subject.liveState();
  const backupFile = join(subject.folder, "backup.json");
  await writeFile(backupFile, JSON.stringify(await packBackup(subject.backup)));
  let deaths = 0;
  for (let killAt = 1; killAt < mostPoints; killAt += subject.every ?? 1) {
    const operationId = newOperationId();
    const workDirectory = join(subject.folder, operationId);
    await mkdir(workDirectory);
    await using temporary = await makeTestContext({ contents: subject.backup.contents, operationId });
    const context: TargetContext = { ...temporary, workDirectory };
    if (step !== "stage") await subject.target().stage(context, restorable(subject.backup));
    if (step === "revert" || step === "settle") await subject.target().swap(context, 10_000);
    const wanted = step === "settle" ? await subject.liveState() : before;
    const died = await dieAt(subject, { operationId, workDirectory, backupFile, step, killAt });
    const end = step === "settle" ? "settle" : "revert";
    for (const time of ["first", "second"]) {
      await subject.target()[end](context);
      expect(await subject.liveState(), `${step} killed at ${killAt}, ${time} ${end}`).toBe(wanted);
    }
    expect(await subject.leftovers(), `${step} killed at ${killAt}`).toEqual([]);
    await rm(workDirectory, { recursive: true });
    if (end === "settle") {
      expect(wanted).not.toBe(before);
      await subject.reset();
    }
    if (!died) return deaths;
    deaths += 1;
  }
  throw new Error(`${step} has more points than ${mostPoints}`);
}

/** False if the process got to the end of the step. */
async function dieAt({ config, folder }: CrashSubject, order: Omit<CrashOrder, "config">): Promise<boolean> {
  const child = spawn(process.execPath, [program, JSON.stringify({ ...order, config })], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, TMPDIR: folder },
  });
  const [code, signal] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
  expect(code === 0 || signal === "SIGKILL", `${order.step} exited with ${code ?? signal}`).toBe(true);
  return signal === "SIGKILL";
}
