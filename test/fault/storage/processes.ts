import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import path from "node:path";
import { isHoldfastError, messageOf } from "../../../src/base/index.ts";
import { openRepository, type Snapshot } from "../../../src/repository/index.ts";
import { LocalBackend } from "../../../src/storage/index.ts";
import { problemsOf, resticProblems } from "./sound-repository.ts";
import { backUp, filesOf, makeRepository, password, type Reported } from "./stored-backups.ts";

const childFile = path.join(import.meta.dirname, "child.ts");

/** A repository in a folder that processes work on, and what they reported. */
export class SharedRepository {
  readonly folder: string;
  readonly #reported = new Map<string, number>();

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async make(folder: string): Promise<SharedRepository> {
    await makeRepository(new LocalBackend(folder));
    return new SharedRepository(folder);
  }

  get reported(): number {
    return this.#reported.size;
  }

  /** Ends when the process does, or kills it `killAfterMs` after it opened the repository. Returns its exit code. */
  async run(work: "write" | "prune", seed: number, count: number, killAfterMs?: number): Promise<number | null> {
    const args = [childFile, this.folder, work, String(seed), String(count)];
    const child: ChildProcess = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    const ended = once(child, "close") as Promise<[number | null]>;
    let timer: NodeJS.Timeout | undefined;
    let text = "";
    child.stdout?.on("data", (chunk: Buffer) => {
      text += chunk.toString();
      if (killAfterMs !== undefined) timer ??= setTimeout(() => child.kill("SIGKILL"), killAfterMs);
    });
    const [code] = await ended;
    clearTimeout(timer);
    for (const [, id, number] of text.matchAll(/^([0-9a-f]{64}) (\d+)$/gm))
      this.#reported.set(String(id), Number(number));
    return code;
  }

  /** What is wrong; `restic` lets the real one look, too. */
  async problems(options: { readonly restic: boolean }): Promise<string[]> {
    const backend = new LocalBackend(this.folder);
    const repository = await openRepository(backend, { password, workers: 1 });
    const snapshots = new Map((await repository.snapshots()).map((snapshot) => [snapshot.id, snapshot]));
    await repository.close();
    const problems: string[] = [];
    const reported: Reported[] = [];
    for (const [id, number] of this.#reported) {
      const snapshot: Snapshot | undefined = snapshots.get(id);
      if (snapshot === undefined) problems.push(`${id} was reported complete and is not there`);
      else reported.push({ snapshot, files: filesOf(number) });
    }
    problems.push(...(await problemsOf(new LocalBackend(this.folder), reported)));
    if (options.restic) problems.push(...resticProblems(this.folder));
    return problems;
  }
}

export interface FullDisk {
  readonly full: boolean;
  /** That the second backup took, in the end, in blocks of 4 KiB. */
  readonly blocksTaken: number;
  readonly problems: readonly string[];
}

/** Backs up onto a file system that has room for so many blocks of 4 KiB more than the empty repository takes. */
export async function backUpOntoFullDisk(place: string, blocks: number): Promise<FullDisk> {
  mkdirSync(place);
  mount(["-t", "tmpfs", "-o", "size=64m", "tmpfs", place]);
  try {
    const folder = path.join(place, "repository");
    await makeRepository(new LocalBackend(folder));
    const repository = await openRepository(new LocalBackend(folder), { password, workers: 1 });
    const reported: Reported[] = [];
    const problems: string[] = [];
    let full = false;
    let used = 0;
    try {
      await backUp(repository, filesOf(1), (one) => reported.push(one));
      used = blocksUsed(place);
      mount(["-o", `remount,size=${(used + blocks) * 4096}`, place]);
      await backUp(repository, filesOf(2, 25), (one) => reported.push(one));
    } catch (error) {
      full = isHoldfastError(error, "STORAGE_FULL");
      if (!full) problems.push(`not STORAGE_FULL: ${messageOf(error)}`);
    } finally {
      await repository.close();
    }
    // Looking takes a lock, which needs room.
    mount(["-o", "remount,size=64m", place]);
    problems.push(...(await problemsOf(new LocalBackend(folder), reported)), ...resticProblems(folder));
    return { full, blocksTaken: blocksUsed(place) - used, problems };
  } finally {
    spawnSync("umount", [place]);
  }
}

const blocksUsed = (place: string): number =>
  Number(spawnSync("du", ["-s", "--block-size=4096", place], { encoding: "utf8" }).stdout.split("\t")[0]);

function mount(args: readonly string[]): void {
  const { status, stderr } = spawnSync("mount", args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`mount ${args.join(" ")}: ${stderr}`);
}
