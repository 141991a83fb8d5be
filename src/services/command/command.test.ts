import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type SourceId, systemErrorCode } from "../../base/index.ts";
import {
  type ComponentUnderTest,
  describeComponent,
  makeTestContext,
  restorable,
  takeBackup,
} from "../../component/conformance/index.ts";
import type { CommandConfig } from "./command-config.ts";
import { CommandSource } from "./command-source.ts";
import { CommandTarget } from "./command-target.ts";

const id = "service:ledger" as SourceId;
const script = (text: string): string[] => ["sh", "-c", text];

describeComponent("A command's data", () => ledgerUnderTest([]));
describeComponent("A command's data under a prefix", () => ledgerUnderTest(["env", "-i", "PATH=/usr/bin:/bin"]));

/** A ledger of two files: the application's state and its load. */
async function ledgerUnderTest(exec: readonly string[]): Promise<ComponentUnderTest> {
  const folder = await mkdtemp(join(tmpdir(), "holdfast-ledger-"));
  const state = join(folder, "state");
  const load = join(folder, "load");
  await writeFile(load, "");
  const config: CommandConfig = {
    type: "command",
    dump: script(`echo load; cat '${load}'; echo --; cat '${state}'`),
    restore: script(
      `cd '${folder}' && cat >all && sed -e 1d -e '/^--$/,$d' all >load && sed '1,/^--$/d' all >state && rm all`,
    ),
    ...(exec.length === 0 ? {} : { exec: [...exec] }),
  };
  return {
    atomicFreeze: false,
    source: () => new CommandSource(id, config),
    target: () => new CommandTarget(id, config),
    mutate: (n) => writeFile(state, `state ${n}\n${"x".repeat(n * 10)}\n`),
    liveState: () => readFile(state, "utf8"),
    startLoad: async () => {
      let acknowledged = 0;
      const stop = new AbortController();
      const run = (async (): Promise<void> => {
        while (!stop.signal.aborted) {
          await writeFile(load, `${acknowledged + 1}\n`, { flag: "a" });
          acknowledged += 1;
        }
      })();
      return {
        acknowledged: () => acknowledged,
        stop: async () => {
          stop.abort();
          await run;
        },
      };
    },
    loadRecords: async () => (await readFile(load, "utf8")).trim().split("\n").filter(Boolean).map(Number),
    destroyData: () => writeFile(state, ""),
    leftovers: async () => [],
    dispose: () => rm(folder, { recursive: true }),
  };
}

describe("a dump command", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "holdfast-command-"));
  });
  afterEach(() => rm(folder, { recursive: true }));
  const source = (dump: string): CommandSource =>
    new CommandSource(id, { type: "command", dump: script(dump), restore: script("cat >/dev/null") });

  it("goes on after the release once it has said that it is frozen", async () => {
    const gate = join(folder, "gate");
    const slow = `echo one; echo HOLDFAST_FROZEN >&"$HOLDFAST_FREEZE_FD"; while [ ! -e '${gate}' ]; do sleep 0.01; done; echo two`;
    const backup = await takeBackup(source(slow), {
      afterFreeze: async (point) => {
        expect(point.facts).toEqual({ method: "dump, frozen by signal" });
        await writeFile(gate, "");
      },
    });
    const dump = backup.entries.find((entry) => entry.path.toString() === "dump");
    expect(dump?.content?.sizeBytes).toBe("one\ntwo\n".length);
  });

  it("fails the freeze with its exit status and standard error, secrets of the environment blotted out", async () => {
    process.env["LEDGER_PASSWORD"] = "s3cret-of-the-ledger";
    try {
      const backup = takeBackup(source('echo half; echo "cannot log in with $LEDGER_PASSWORD" >&2; exit 7'));
      await expect(backup).rejects.toMatchObject({
        code: "COMMAND_FAILED",
        facts: { exitCode: 7, stderr: "cannot log in with ***" },
      });
    } finally {
      delete process.env["LEDGER_PASSWORD"];
    }
  });

  it("fails the backup when it breaks off after its freeze signal", async () => {
    const backup = takeBackup(source("echo HOLDFAST_FROZEN >&3; sleep 0.1; echo half; echo lost the link >&2; exit 3"));
    await expect(backup).rejects.toMatchObject({
      code: "COMMAND_FAILED",
      facts: { exitCode: 3, stderr: "lost the link" },
    });
  });

  it("fails the backup when it is killed", async () => {
    await expect(takeBackup(source("echo half; kill -9 $$"))).rejects.toMatchObject({ code: "COMMAND_FAILED" });
  });

  it("is ended, with its children, when it hangs past the deadline", async () => {
    const pidFile = join(folder, "pid");
    const hanging = source(`sleep 100 & echo $! >'${pidFile}'; wait`);
    const error = await takeBackup(hanging, { deadlineMs: 300 }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "FREEZE_FAILED" });
    const pid = (await readFile(pidFile, "utf8")).trim();
    await expect.poll(() => existsSync(`/proc/${pid}`), { timeout: 5000 }).toBe(false);
  });

  it.each([[[]], [["env"]]])("is looked for before the hold, under the prefix %j", async (exec) => {
    const missing = new CommandSource(id, { type: "command", dump: ["no-such-dump"], restore: ["true"], exec });
    await using context = await makeTestContext();
    await expect(missing.prepare(context)).rejects.toMatchObject({
      code: "TOOL_MISSING",
      facts: { program: "no-such-dump" },
    });
  });

  it("that writes nothing is a warning", async () => {
    const backup = await takeBackup(source("true"));
    expect(backup.warnings.map((warning) => warning.kind)).toEqual(["command-dump-empty"]);
  });
});

describe("a restore command", () => {
  let folder: string;
  let data: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "holdfast-command-"));
    data = join(folder, "data");
    await writeFile(data, "old");
  });
  afterEach(() => rm(folder, { recursive: true }));

  async function restoreWith(restore: string, deadlineMs = 5000): Promise<{ error: unknown; afterRevert: string }> {
    const config: CommandConfig = { type: "command", dump: script(`cat '${data}'`), restore: script(restore) };
    const backup = await takeBackup(new CommandSource(id, config));
    await writeFile(data, "newer");
    await using context = await makeTestContext({ contents: backup.contents });
    const target = new CommandTarget(id, config);
    await target.stage(context, restorable(backup));
    await writeFile(data, "newest");
    const error = await target.swap(context, deadlineMs).catch((thrown: unknown) => thrown);
    await target.revert(context);
    return { error, afterRevert: await readFile(data, "utf8") };
  }

  it("that fails halfway is undone from the state just before it", async () => {
    const failsOnOld = `cat >'${data}'; grep -q old '${data}' && { echo no room >&2; exit 5; }; true`;
    const { error, afterRevert } = await restoreWith(failsOnOld);
    expect(error).toMatchObject({ code: "SERVICE_SWAP_FAILED" });
    expect(String(error)).toContain("exited with 5: no room");
    expect(afterRevert).toBe("newest");
  });

  it("that hangs is ended at the deadline and undone", async () => {
    const hangsOnOld = `cat >'${data}'; if grep -q old '${data}'; then sleep 100; fi`;
    const { error, afterRevert } = await restoreWith(hangsOnOld, 500);
    expect(error).toMatchObject({ code: "SERVICE_SWAP_FAILED", cause: { code: "TIMEOUT" } });
    expect(afterRevert).toBe("newest");
  });

  it("leaves nothing running that could still replace the old data once that is loaded", async () => {
    const orphan = join(folder, "orphan");
    // As of a Holdfast that was killed: in another process group, and nobody waits for it.
    const outlives = `cat >'${data}'; if grep -q old '${data}'; then setsid sleep 100 </dev/null >/dev/null 2>&1 & echo $! >'${orphan}'; fi`;
    const { error, afterRevert } = await restoreWith(outlives);
    expect(error).not.toBeInstanceOf(Error);
    expect(afterRevert).toBe("newest");
    // Empty of a process that is dead and not yet collected.
    const commandLine = await readFile(`/proc/${(await readFile(orphan, "utf8")).trim()}/cmdline`, "utf8").catch(
      (thrown: unknown) => systemErrorCode(thrown) ?? "",
    );
    expect(["", "ENOENT", "ESRCH"]).toContain(commandLine);
  });

  it("may leave before it has read everything", async () => {
    const { error, afterRevert } = await restoreWith("exit 0");
    expect(error).not.toBeInstanceOf(Error);
    expect(afterRevert).toBe("newest");
  });
});
