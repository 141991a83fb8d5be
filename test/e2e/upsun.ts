import { spawn } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import type { Outcome } from "./running-server.ts";

/** Upsun's own CLI, as npm has it. */
export const upsunProgram = join(
  dirname(createRequire(import.meta.url).resolve("@upsun/cli-linux-x64/package.json")),
  "bin/upsun",
);

/** What Upsun's CLI needs in its environment to work on a server of ours, and to leave the machine alone. */
export function upsunEnvironment(url: string, home: string, token: string): Readonly<Record<string, string>> {
  return {
    HOME: home,
    PATH: "/usr/bin:/bin",
    TZ: "UTC",
    COLUMNS: "200",
    UPSUN_CLI_HOME: home,
    UPSUN_CLI_API_URL: url,
    UPSUN_CLI_AUTH_URL: url,
    UPSUN_CLI_TOKEN: token,
    UPSUN_CLI_NO_INTERACTION: "1",
    UPSUN_CLI_UPDATES_CHECK: "0",
    UPSUN_CLI_DISABLE_CACHE: "1",
    UPSUN_CLI_AUTO_LOAD_SSH_CERT: "0",
    UPSUN_CLI_API_WRITE_USER_SSH_CONFIG: "0",
    UPSUN_CLI_API_ADD_TO_SSH_AGENT: "0",
  };
}

/** Runs a program to its end, with nothing on its standard input. */
export async function runProgram(
  program: string,
  args: readonly string[],
  options: { readonly cwd: string; readonly env: Readonly<Record<string, string>> },
): Promise<Outcome> {
  const child = spawn(program, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
  const [out, err, [exit]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "close") as Promise<[number | null]>,
  ]);
  return { exit, out, err };
}
