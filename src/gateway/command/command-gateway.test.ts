import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { describeGateway } from "../conformance/gateway-conformance.ts";
import { CommandGateway } from "./command-gateway.ts";

// Its commands do what a person's would: a file says that requests are held, another that one runs.
describeGateway("a command gateway", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "holdfast-gateway-"));
  const [held, busy] = [path.join(folder, "held"), path.join(folder, "busy")];
  const gateway = new CommandGateway({
    hold: ["sh", "-c", `touch ${held}; while [ -e ${busy} ]; do sleep 0.01; done`],
    release: ["rm", "-f", held],
  });
  const until = async (condition: () => boolean): Promise<void> => {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
  };
  const timers: NodeJS.Timeout[] = [];
  return {
    gateway,
    send: async () => {
      await until(() => !existsSync(held));
      return 200;
    },
    occupy: async (durationMs) => {
      await writeFile(busy, "");
      timers.push(setTimeout(() => void rm(busy, { force: true }), durationMs));
    },
    isHeld: async () => Promise.resolve(existsSync(held)),
    stop: async () => {
      for (const timer of timers) clearTimeout(timer);
      await rm(folder, { recursive: true });
    },
  };
});

describe("a command gateway", () => {
  const lease = { owner: "test", drainTimeoutMs: 5_000, holdTimeoutMs: 10_000 };
  const inFolder = async (test: (folder: string) => Promise<void>): Promise<void> => {
    const folder = await mkdtemp(path.join(tmpdir(), "holdfast-gateway-"));
    try {
      await test(folder);
    } finally {
      await rm(folder, { recursive: true });
    }
  };

  it("runs the release command when its owner is killed", () =>
    inFolder(async (folder) => {
      const held = path.join(folder, "held");
      const program = `
        import { CommandGateway } from ${JSON.stringify(path.join(import.meta.dirname, "command-gateway.ts"))};
        const gateway = new CommandGateway({ hold: ["touch", process.argv[1]], release: ["rm", "-f", process.argv[1]] });
        await gateway.hold({ owner: "child", drainTimeoutMs: 5000, holdTimeoutMs: 9000 });
        process.stdout.write("held");`;
      const child = spawn(process.execPath, ["--input-type=module", "-e", program, "--", held], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      await once(child.stdout, "data");
      expect(existsSync(held)).toBe(true);
      child.kill("SIGKILL");
      while (existsSync(held)) await new Promise((resolve) => setTimeout(resolve, 5));
    }));

  it("runs the release command when the hold command fails, and says why it did", () =>
    inFolder(async (folder) => {
      const released = path.join(folder, "released");
      const gateway = new CommandGateway({
        hold: ["sh", "-c", "echo no such backend >&2; exit 3"],
        release: ["touch", released],
      });
      await expect(gateway.hold(lease)).rejects.toMatchObject({
        code: "COMMAND_FAILED",
        message: expect.stringContaining("exited with 3: no such backend") as string,
      });
      expect(existsSync(released)).toBe(true);
    }));

  it("says which command is missing", async () => {
    const gateway = new CommandGateway({ hold: ["no-such-balancer"], release: ["true"] });
    await expect(gateway.hold(lease)).rejects.toMatchObject({
      code: "TOOL_MISSING",
      facts: { program: "no-such-balancer" },
    });
  });

  it("tries a failing release again, and says that requests may still be held", () =>
    inFolder(async (folder) => {
      const tries = path.join(folder, "tries");
      const gateway = new CommandGateway({ hold: ["true"], release: ["sh", "-c", `echo x >> ${tries}; exit 1`] });
      const hold = await gateway.hold(lease);
      await expect(hold.release()).rejects.toMatchObject({
        code: "COMMAND_FAILED",
        message: expect.stringContaining("may still be held") as string,
      });
      expect(await readFile(tries, "utf8")).toBe("x\nx\nx\n");
    }));
});
