import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createBackup, deleteBackup, restoreBackup } from "../../src/engine/index.ts";
import { type CrashTest, crashComponents, initCrashTest, openCrashTest, password } from "./crash-environment.ts";

const child = fileURLToPath(new URL("crash-child.ts", import.meta.url));
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "holdfast-crash-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** True if the child was killed at step `n`; false if it came to its end. */
function killedAt(operation: "backup" | "restore", n: number): boolean {
  const { signal, stdout, stderr } = spawnSync(process.execPath, [child, folder, operation, String(n)], {
    encoding: "utf8",
  });
  if (signal === "SIGKILL") return true;
  expect(stderr).toBe("");
  expect(stdout).toBe("done\n");
  return false;
}

type Data = Pick<CrashTest, "components">;

const state = ({ components }: Data): (string | undefined)[] => components.map(({ data }) => data);

function fill({ components }: Data, text: string): void {
  for (const component of components) component.data = `${component.id} ${text}`;
}

/** What must hold after any crash and one more operation. */
async function expectClean(test: CrashTest): Promise<void> {
  expect(readdirSync(join(folder, "data")).sort()).toEqual(["a", "b", "c"]);
  expect(readdirSync(join(folder, "state", "operations"))).toEqual([]);
  const snapshots = await test.context.repository.snapshots();
  const rows = await test.catalog.list(test.environment.project);
  expect(rows.map(({ snapshot }) => snapshot).sort()).toEqual(snapshots.map(({ id }) => id).sort());
  const report = await test.context.repository.check({ readDataRatio: 1 });
  expect(report.findings.filter(({ severity }) => severity === "error")).toEqual([]);
}

function resticCheck(): void {
  const repository = join(folder, "repository");
  execFileSync("restic", ["check", "--read-data", "--no-cache", "-r", repository], {
    env: { ...process.env, RESTIC_PASSWORD: password },
    stdio: "pipe",
  });
}

describe("a process killed at every step", () => {
  it(
    "of a backup leaves a repository without faults, no lock, and a backup or none",
    { timeout: 900_000 },
    async () => {
      await initCrashTest(folder);
      let test = await openCrashTest(folder, () => undefined);
      fill(test, "first");
      await test.close();
      let n = 1;
      for (; killedAt("backup", n); n += 1) {
        test = await openCrashTest(folder, () => undefined);
        const backup = await createBackup(test.context, test.environment, { live: false });
        fill(test, `changed ${n}`);
        await restoreBackup(test.context, test.environment, { backup: backup.id });
        await expectClean(test);
        await test.close();
      }
      expect(n).toBeGreaterThan(15);
      resticCheck();
    },
  );

  it("of a restore leaves the environment old or new after the next command", { timeout: 900_000 }, async () => {
    await initCrashTest(folder);
    let test = await openCrashTest(folder, () => undefined);
    fill(test, "in the backup");
    await createBackup(test.context, test.environment, { live: false });
    const restored = state(test);
    await test.close();
    const outcomes = new Set<string>();
    let n = 1;
    for (; ; n += 1) {
      const data = { components: crashComponents(folder) };
      fill(data, "old");
      const old = state(data);
      if (!killedAt("restore", n)) break;
      test = await openCrashTest(folder, () => undefined);
      const last = await createBackup(test.context, test.environment, { live: false });
      outcomes.add(JSON.stringify(state(test)));
      expect([JSON.stringify(old), JSON.stringify(restored)]).toContain(JSON.stringify(state(test)));
      // The child restores the newest backup: that must stay the first one.
      await deleteBackup(test.context, test.environment, last.id);
      await expectClean(test);
      await test.close();
    }
    expect(n).toBeGreaterThan(15);
    expect(outcomes.size).toBe(2);
    resticCheck();
  });
});
