import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
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
