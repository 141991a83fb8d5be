import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { PassThrough } from "node:stream";
import { afterAll, beforeAll, beforeEach, expect } from "vitest";
import { systemClock } from "../../base/index.ts";
import { runCli } from "../../cli/index.ts";
import { LocalComposition } from "../local-composition.ts";

export interface Outcome {
  readonly exit: number;
  readonly out: string;
  readonly err: string;
}

/** Of the test file's own shop; set once `useShop` has run its hooks. */
export let folder: string;

export interface RunOptions {
  /** Typed at a terminal; without it standard input is a pipe that is closed. */
  readonly typed?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** One command line in this process, against the real composition. */
export async function holdfast(line: string, options: RunOptions = {}): Promise<Outcome> {
  const stdin = Object.assign(new PassThrough(), { isTTY: options.typed !== undefined });
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const texts = [stdout, stderr].map(async (stream) => {
    let text = "";
    for await (const chunk of stream) text += String(chunk);
    return text;
  });
  if (options.typed === undefined) stdin.end();
  else stdin.write(`${options.typed}\n`);
  const exit = await runCli(
    line.split(" ").filter((word) => word !== ""),
    {
      stdin,
      stdout,
      stderr,
      env: options.env ?? {},
      cwd: folder,
      clock: systemClock,
      signal: new AbortController().signal,
      backgroundName: undefined,
      startInBackground: () => Promise.reject(new Error("This test's process starts no other.")),
    },
    new LocalComposition({ clock: systemClock, env: options.env ?? {} }),
  );
  stdout.end();
  stderr.end();
  const [out = "", err = ""] = await Promise.all(texts);
  return { exit, out, err };
}

export const config = (profile: string): string => `version: 1
state: ./state
projects:
  shop:
    title: The shop
    profile: ${profile}
    repository:
      passwordFile: ./repository.key
      replicas: [{ name: disk, type: local, path: ./repository }]
    environments:
      main:
        type: production
        applications: { app: { mounts: { media: ./media } } }
        services: { flags: { type: sqlite, path: ./flags.db } }
      staging:
        type: staging
        status: inactive
        applications: { app: { mounts: { media: ./staging-media } } }
`;

export const jsonLines = (text: string): Record<string, unknown>[] =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>);

export async function createLive(): Promise<string> {
  const { exit, out, err } = await holdfast("backup:create --live --yes");
  expect(exit, err).toBe(0);
  const id = /^Backup name: ([a-z2-7]{26})\n$/.exec(out)?.[1];
  if (id === undefined) throw new Error(`no backup's name in ${JSON.stringify(out)}`);
  return id;
}

/** Gives the test file a shop in a folder of its own: a mount and a database, the same before each test. */
export function useShop(): void {
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "holdfast-commands-"));
    await writeFile(join(folder, "holdfast.yaml"), config("upsun"));
    await mkdir(join(folder, "media/2026"), { recursive: true });
    await mkdir(join(folder, "staging-media"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  beforeEach(async () => {
    await mkdir(join(folder, "media/2026"), { recursive: true });
    await writeFile(join(folder, "media/a.txt"), "alpha");
    await writeFile(join(folder, "media/2026/01.txt"), "january");
    const database = new DatabaseSync(join(folder, "flags.db"));
    database.exec("PRAGMA journal_mode = WAL; CREATE TABLE IF NOT EXISTS flag (name TEXT); DELETE FROM flag");
    database.exec("INSERT INTO flag VALUES ('on')");
    database.close();
  });
}
