import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { SourceId } from "../../base/index.ts";
import {
  type ComponentUnderTest,
  describeComponent,
  makeTestContext,
  takeBackup,
} from "../../component/conformance/index.ts";
import { type DirectoryConfig, directoryConfigSchema } from "./directory-config.ts";
import { DirectorySource } from "./directory-source.ts";
import { DirectoryTarget } from "./directory-target.ts";

const id = "service:search" as SourceId;

/** A service that keeps numbered files, and stops writing while a file named "frozen" stands beside its folder. */
class SearchService {
  readonly base = mkdtempSync(join(tmpdir(), "holdfast-directory-"));
  readonly data = join(this.base, "data");
  readonly frozenMark = join(this.base, "frozen");
  readonly log = join(this.base, "log");

  constructor() {
    mkdirSync(this.data);
  }

  config(changes: Partial<DirectoryConfig> = {}): DirectoryConfig {
    return {
      type: "directory",
      path: this.data,
      freeze: ["sh", "-c", 'touch "$1" && echo freeze >> "$2"', "sh", this.frozenMark, this.log],
      thaw: ["sh", "-c", 'rm -f "$1" && echo thaw >> "$2"', "sh", this.frozenMark, this.log],
      ...changes,
    };
  }

  get commands(): string[] {
    return existsSync(this.log) ? readFileSync(this.log, "utf8").trim().split("\n") : [];
  }

  dispose(): void {
    rmSync(this.base, { recursive: true, force: true });
  }
}

function component(): Promise<ComponentUnderTest> {
  const service = new SearchService();
  const { data } = service;
  const names = (): string[] => (existsSync(data) ? readdirSync(data).sort() : []);
  return Promise.resolve({
    atomicFreeze: true,
    source: () => new DirectorySource(id, service.config()),
    target: () => new DirectoryTarget(id, service.config()),
    mutate: (n) => {
      mkdirSync(data, { recursive: true });
      writeFileSync(join(data, "segment"), `segment ${n}`);
      writeFileSync(join(data, `only-${n}`), "x");
      rmSync(join(data, `only-${n - 1}`), { force: true });
      return Promise.resolve();
    },
    liveState: () =>
      Promise.resolve(
        names()
          .filter((name) => !name.startsWith("record-"))
          .map((name) => `${name}: ${readFileSync(join(data, name), "utf8")}`)
          .join("\n"),
      ),
    startLoad: () => {
      let acknowledged = 0;
      // Between two ticks nothing of ours runs, so a write is seen whole or not at all; frozen, it writes nothing.
      const timer = setInterval(() => {
        if (existsSync(service.frozenMark)) return;
        writeFileSync(join(data, `record-${acknowledged + 1}`), "record");
        acknowledged += 1;
      }, 2);
      return Promise.resolve({
        acknowledged: () => acknowledged,
        stop: () => {
          clearInterval(timer);
          return Promise.resolve();
        },
      });
    },
    loadRecords: () =>
      Promise.resolve(
        names()
          .filter((name) => name.startsWith("record-"))
          .map((name) => Number(name.slice("record-".length)))
          .sort((a, b) => a - b),
      ),
    destroyData: () => {
      rmSync(data, { recursive: true });
      return Promise.resolve();
    },
    leftovers: () =>
      Promise.resolve(readdirSync(service.base).filter((name) => name.startsWith(".holdfast-") || name === "frozen")),
    dispose: () => {
      service.dispose();
      return Promise.resolve();
    },
  });
}

describeComponent("a data directory with freeze and thaw commands", component);

describe("the commands of a data directory", () => {
  let service: SearchService;
  beforeEach(() => {
    service = new SearchService();
    writeFileSync(join(service.data, "segment"), "one");
  });
  afterEach(() => service.dispose());

  it("run once each, the second before freeze is over", async () => {
    await takeBackup(new DirectorySource(id, service.config()), {
      afterFreeze: () => {
        expect(service.commands).toEqual(["freeze", "thaw"]);
        return Promise.resolve();
      },
    });
    expect(service.commands).toEqual(["freeze", "thaw"]);
  });

  it("thaw also after a freeze command that failed half-way, and say what it said", async () => {
    const freeze = ["sh", "-c", 'touch "$1"; echo index is busy >&2; exit 4', "sh", service.frozenMark];
    const backup = takeBackup(new DirectorySource(id, service.config({ freeze })));
    await expect(backup).rejects.toMatchObject({ code: "FREEZE_FAILED", facts: { stderr: "index is busy" } });
    expect(service.commands).toEqual(["thaw"]);
    expect(existsSync(service.frozenMark)).toBe(false);
  });

  it("thaw also after a freeze command that does not end in time", async () => {
    const freeze = ["sh", "-c", 'touch "$1"; sleep 60', "sh", service.frozenMark];
    const backup = takeBackup(new DirectorySource(id, service.config({ freeze })), { deadlineMs: 300 });
    await expect(backup).rejects.toMatchObject({ code: "FREEZE_FAILED" });
    expect(service.commands).toEqual(["thaw"]);
  });

  it("are told apart when it is the thaw that fails, which is tried again on dispose", async () => {
    const thaw = ["sh", "-c", 'echo try >> "$1"; exit 1', "sh", service.log];
    const source = new DirectorySource(id, service.config({ thaw }));
    await using context = await makeTestContext();
    await source.prepare(context);
    await expect(source.freeze(5000)).rejects.toMatchObject({ code: "FREEZE_FAILED", facts: { program: "sh" } });
    await expect(source.dispose()).rejects.toMatchObject({ code: "FREEZE_FAILED" });
    expect(service.commands).toEqual(["freeze", "try", "try"]);
  });

  it("thaw on recovery after a process died between the two, and only then", async () => {
    await using context = await makeTestContext();

    await new DirectorySource(id, service.config()).recover(context);
    expect(service.commands).toEqual([]);
    // What a killed process leaves: the mark that it writes before the freeze command.
    writeFileSync(join(context.workDirectory, "freeze-begun.json"), '{"begun":true}');
    await new DirectorySource(id, service.config()).recover(context);
    await new DirectorySource(id, service.config()).recover(context);
    expect(service.commands).toEqual(["thaw"]);
  });

  it("say which program is missing", async () => {
    const source = new DirectorySource(id, service.config({ freeze: ["no-such-program"] }));
    await using context = await makeTestContext();
    await source.prepare(context);
    await expect(source.freeze(5000)).rejects.toMatchObject({ code: "TOOL_MISSING" });
    await source.dispose();
  });

  it("are configured both or neither", () => {
    expect(directoryConfigSchema.safeParse({ type: "directory", path: "/x" }).success).toBe(true);
    expect(directoryConfigSchema.safeParse({ type: "directory", path: "/x", freeze: ["a"] }).success).toBe(false);
    expect(directoryConfigSchema.safeParse({ type: "directory", path: "/x", freeze: ["a"], thaw: [] }).success).toBe(
      false,
    );
  });
});
