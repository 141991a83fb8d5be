import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { takeBackup } from "../../component/conformance/index.ts";
import { crashEverywhere, crashId, type CrashSubject } from "../conformance/crash-everywhere.ts";
import type { CommandConfig } from "./command-config.ts";
import { CommandSource } from "./command-source.ts";
import { CommandTarget } from "./command-target.ts";

let folder: string;
let data: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "holdfast-command-crash-"));
  data = join(folder, "data");
  await mkdir(data);
});
afterEach(() => rm(folder, { recursive: true }));

async function subject(): Promise<CrashSubject> {
  const ledger = join(data, "ledger");
  const config: CommandConfig = {
    type: "command",
    dump: ["sh", "-c", `cat '${ledger}'`],
    // In a file of its own, so that one that outlives its parent does no harm to the next.
    restore: ["sh", "-c", `cat >'${ledger}'.$$ && mv '${ledger}'.$$ '${ledger}'`],
  };
  const fill = (which: string): Promise<void> => writeFile(ledger, `${which}\n`.repeat(20_000));
  await fill("wanted");
  const backup = await takeBackup(new CommandSource(crashId, config));
  await fill("before");
  return {
    config,
    backup,
    folder,
    every: 3,
    target: () => new CommandTarget(crashId, config),
    liveState: async () => (await readFile(ledger, "utf8")).slice(0, 20),
    leftovers: async () => (await readdir(data)).filter((name) => name !== "ledger" && !name.startsWith("ledger.")),
    reset: () => fill("before"),
  };
}

describe("a restore by command whose process is killed with -9", { timeout: 600_000 }, () => {
  it.each([
    ["stage", 2],
    ["swap", 2],
    ["revert", 2],
    ["settle", 2],
  ] as const)("at any point of %s is old or new", async (step, least) => {
    expect(await crashEverywhere(await subject(), step)).toBeGreaterThanOrEqual(least);
  });
});
