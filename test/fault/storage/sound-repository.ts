import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { messageOf } from "../../../src/base/index.ts";
import { openRepository, type Repository } from "../../../src/repository/index.ts";
import { type Backend, LocalBackend } from "../../../src/storage/index.ts";
import { copyRepository, differences, password, readBack, type Reported } from "./stored-backups.ts";

/**
 * What is wrong with a repository after a fault: errors that our check finds, and backups that were reported complete and
 * are not there or do not come back byte for byte. Locks of killed processes are removed first, as `repo:unlock` does.
 */
export async function problemsOf(backend: Backend, reported: Iterable<Reported>): Promise<string[]> {
  const repository = await openRepository(backend, { password, workers: 1 });
  try {
    await repository.unlock({ all: true });
    const { findings } = await repository.check({ readDataRatio: 1 });
    const problems = findings.filter(({ severity }) => severity === "error").map(({ message }) => message);
    const listed = new Set((await repository.snapshots()).map(({ id }) => id));
    for (const one of reported) {
      if (!listed.has(one.snapshot.id)) problems.push(`${one.snapshot.id} is gone`);
      problems.push(...(await backupProblems(repository, one)));
    }
    return problems;
  } finally {
    await repository.close();
  }
}

async function backupProblems(repository: Repository, { snapshot, files }: Reported): Promise<string[]> {
  try {
    return differences(files, await readBack(repository, snapshot)).map((one) => `${snapshot.id}: ${one}`);
  } catch (error) {
    return [`${snapshot.id}: ${messageOf(error)}`];
  }
}

/** What the real restic finds, reading everything; empty if it finds no error. */
export function resticProblems(folder: string): string[] {
  const run = spawnSync("restic", ["-r", folder, "--no-cache", "--no-lock", "check", "--read-data"], {
    encoding: "utf8",
    env: { ...process.env, RESTIC_PASSWORD: password },
  });
  if (run.status === 0 && run.stdout.includes("no errors were found")) return [];
  return [`restic check --read-data: exit ${run.status}: ${run.stdout.slice(-800)} ${run.stderr.slice(-800)}`];
}

/** The same for a repository that is not in a folder. */
export async function resticProblemsOf(backend: Backend): Promise<string[]> {
  const folder = mkdtempSync(path.join(tmpdir(), "holdfast-fault-"));
  try {
    await copyRepository(backend, new LocalBackend(folder));
    return resticProblems(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
