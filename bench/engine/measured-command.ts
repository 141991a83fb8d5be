import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";

/** What one command took, with all processes that it started. */
export interface Cost {
  readonly wallSeconds: number;
  /** User and system time. */
  readonly cpuSeconds: number;
  /** Of the largest process. */
  readonly peakBytes: number;
}

const timeProgram = "/usr/bin/time";

/** Runs a command under time(1) to its end. @throws Error if it is not well, or time(1) is not installed */
export function runMeasured(
  command: readonly string[],
  options: {
    readonly timeFile: string;
    readonly cwd: string;
    readonly env?: Readonly<Record<string, string>>;
    readonly goodExits?: readonly number[];
  },
): Cost {
  if (!existsSync(timeProgram)) throw new Error("The benchmark needs time(1): apt-get install time");
  const result = spawnSync(timeProgram, ["-q", "-f", "%e %U %S %M", "-o", options.timeFile, ...command], {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    encoding: "utf8",
    maxBuffer: 64 << 20,
  });
  if (result.error !== undefined) throw result.error;
  if (result.status === null || !(options.goodExits ?? [0]).includes(result.status)) {
    throw new Error(`${command.join(" ")} exited with ${result.status}:\n${result.stdout}${result.stderr}`);
  }
  const [wall, user, system, kilobytes] = (readFileSync(options.timeFile, "utf8").trim().split("\n").at(-1) ?? "")
    .split(" ")
    .map(Number);
  rmSync(options.timeFile);
  if (wall === undefined || user === undefined || system === undefined || kilobytes === undefined) {
    throw new Error(`${timeProgram} printed something else than was asked for.`);
  }
  return { wallSeconds: wall, cpuSeconds: user + system, peakBytes: kilobytes * 1024 };
}
