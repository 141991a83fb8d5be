import { HoldfastError } from "../base/index.ts";
import type { PasswordSource } from "../config/index.ts";
import { runPasswordCommand } from "./password-command.ts";
import { readPasswordFile } from "./password-file.ts";

/** The process's environment variables. */
export type ProcessEnvironment = Readonly<Record<string, string | undefined>>;

/**
 * The password that a source gives; undefined only if it is a file that is not there.
 * @throws HoldfastError CONFIG_INVALID, INTERRUPTED
 */
export async function readPassword(
  source: PasswordSource,
  env: ProcessEnvironment,
  signal?: AbortSignal,
): Promise<string | undefined> {
  switch (source.kind) {
    case "file":
      return readPasswordFile(source.file);
    case "command":
      return runPasswordCommand(source.command, signal);
    case "variable": {
      const password = env[source.name] ?? "";
      if (password !== "") return password;
      throw new HoldfastError("CONFIG_INVALID", `The environment variable ${source.name} holds no password.`, {
        facts: { variable: source.name },
        remedy: "Set it to the repository's password for this process.",
      });
    }
  }
}

/** Where the password comes from, for people. */
export function describePasswordSource(source: PasswordSource): string {
  switch (source.kind) {
    case "file":
      return source.file;
    case "command":
      return `command ${source.command[0] ?? ""}`;
    case "variable":
      return `environment variable ${source.name}`;
  }
}
