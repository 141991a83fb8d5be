import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { systemClock } from "../../base/index.ts";
import type { CliHost } from "../host.ts";
import { StoredSignIns } from "./stored-sign-ins.ts";

const hostWith = (home: string): CliHost => ({
  stdin: new PassThrough(),
  stdout: new PassThrough(),
  stderr: new PassThrough(),
  env: { HOME: home },
  cwd: home,
  clock: systemClock,
  signal: new AbortController().signal,
  backgroundName: undefined,
  startInBackground: () => Promise.reject(new Error("This test's process starts no other.")),
});

test("changes of a sign-in come one after the other: none sees what another is about to replace", async () => {
  const home = await mkdtemp(join(tmpdir(), "holdfast-sign-ins-"));
  try {
    const seen: (string | undefined)[] = [];
    const change = (): Promise<unknown> =>
      new StoredSignIns(hostWith(home)).change("https://a", async (before) => {
        seen.push(before?.refreshToken);
        await new Promise<void>((resolve) => setImmediate(resolve));
        return { user: "ann", refreshToken: String(Number(before?.refreshToken ?? 0) + 1) };
      });
    await Promise.all(Array.from({ length: 5 }, change));
    expect(seen).toEqual([undefined, "1", "2", "3", "4"]);
    expect(await new StoredSignIns(hostWith(home)).get("https://a")).toEqual({ user: "ann", refreshToken: "5" });
  } finally {
    await rm(home, { recursive: true });
  }
});
