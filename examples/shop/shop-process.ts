import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import type { Readable } from "node:stream";
import { type ShopConfig, shopEnvironment } from "./shop.ts";

/** The shop's server as a process of its own. */
export interface ShopProcess {
  readonly port: number;
  /** "http://127.0.0.1:PORT" */
  readonly url: string;
  /** Finishes what runs. Idempotent. */
  readonly stop: () => Promise<void>;
}

/** Starts the shop on `port` (default any free one); resolves when it answers. */
export async function startShop(config: ShopConfig, port = 0): Promise<ShopProcess> {
  const child: ChildProcessByStdio<null, Readable, null> = spawn(
    process.execPath,
    [path.join(import.meta.dirname, "server.ts")],
    {
      env: { ...process.env, ...shopEnvironment(config), SHOP_LISTEN_PORT: String(port) },
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  const exited = once(child, "exit");
  const killAtExit = (): void => void child.kill("SIGKILL");
  process.once("exit", killAtExit);
  const stop = async (): Promise<void> => {
    process.off("exit", killAtExit);
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
    await exited;
  };
  const said = await Promise.race([once(child.stdout, "data"), exited.then(() => undefined)]);
  if (said === undefined) {
    await stop();
    throw new Error("The shop did not start; it says why above.");
  }
  const { port: actual } = JSON.parse(String(said[0])) as { port: number };
  return { port: actual, url: `http://127.0.0.1:${actual}`, stop };
}
