import { type ChildProcessByStdio, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chownSync, mkdirSync, statSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Readable, Writable } from "node:stream";
import { setTimeout as wait } from "node:timers/promises";
import { codeOf } from "../retry.ts";

/** A server that runs for the example. */
export interface RunningServer {
  readonly port: number;
  readonly pid: number;
  /** Shuts it down in order and waits for its end. Idempotent. Its folder stays, unless it had to be outside. */
  stop(): Promise<void>;
}

export interface ServerCommand {
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  readonly folder: ServerFolder;
  readonly port: number;
  /** What makes it shut down in order. */
  readonly stopSignal: "SIGTERM" | "SIGINT";
  /** For its standard input: configuration that no process list may show. */
  readonly input?: string;
  /** True once it answers. */
  readonly answers: () => Promise<boolean>;
}

/** A folder that the server's own user can use. */
export interface ServerFolder {
  readonly path: string;
  /** Put before a program to run it as that user; empty if we are no root. */
  readonly prefix: readonly string[];
  /** True if the wished-for folder was out of the user's reach and this one in the temporary folder replaces it. */
  readonly temporary: boolean;
}

const startTimeoutMs = 30_000;

/** The path of the first of these programs that is installed. */
export function findProgram(names: readonly string[]): string | undefined {
  const places = [...(process.env["PATH"] ?? "").split(":"), "/usr/sbin", "/usr/local/sbin"];
  for (const name of names) {
    for (const place of places) {
      const file = path.join(place, name);
      if (place !== "" && isFile(file)) return file;
    }
  }
  return undefined;
}

/**
 * Makes the folder for a server. Root runs it as `user` (as nobody if there is no such user), and puts it into the
 * temporary folder if that user could not get through to `wished`.
 */
export async function prepareFolder(wished: string, user: string): Promise<ServerFolder> {
  mkdirSync(wished, { recursive: true, mode: 0o700 });
  if (process.getuid?.() !== 0) return { path: wished, prefix: [], temporary: false };
  const name = idOf(user) === undefined ? "nobody" : user;
  const uid = idOf(name) ?? 65_534;
  const gid = Number(execFileSync("id", ["-g", name], { encoding: "utf8" }));
  const temporary = !canReach(path.dirname(wished), uid, gid);
  const folder = temporary ? await mkdtemp(path.join(tmpdir(), "holdfast-shop-")) : wished;
  chownSync(folder, uid, gid);
  const prefix = ["setpriv", `--reuid=${uid}`, `--regid=${gid}`, "--clear-groups", "--"];
  return { path: folder, prefix, temporary };
}

/** Runs a program of the server's to its end, as its user. @throws Error with its standard error */
export function runAs(folder: ServerFolder, program: string, args: readonly string[]): void {
  const [command = program, ...rest] = [...folder.prefix, program, ...args];
  execFileSync(command, rest, { cwd: folder.path, stdio: ["ignore", "ignore", "pipe"] });
}

/** Starts a server and waits until it answers. It ends with this process, however that ends. */
export async function startServer(server: ServerCommand): Promise<RunningServer> {
  // Where it is installed, setpriv sees to it that the server goes when we are killed.
  const guard =
    findProgram(["setpriv"]) === undefined ? [] : ["setpriv", `--pdeathsig=${server.stopSignal.slice(3)}`, "--"];
  // The prefix first: changing the user clears the signal.
  const [command = server.program, ...args] = [...server.folder.prefix, ...guard, server.program, ...server.args];
  const child: ChildProcessByStdio<Writable, null, Readable> = spawn(command, args, {
    cwd: server.folder.path,
    stdio: ["pipe", "ignore", "pipe"],
    detached: true,
  });
  child.stdin.on("error", (error) => child.stderr.emit("data", `${error.message}\n`));
  child.stdin.end(server.input ?? "");
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    log = (log + text).slice(-4096);
  });
  const exited = once(child, "exit");
  const killAtExit = (): void => void child.kill("SIGKILL");
  process.once("exit", killAtExit);
  let stopped: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill(server.stopSignal);
    await exited;
    process.off("exit", killAtExit);
    if (server.folder.temporary) await rm(server.folder.path, { recursive: true, force: true });
  };
  const running: RunningServer = {
    port: server.port,
    pid: child.pid ?? 0,
    stop: () => (stopped ??= stop()),
  };
  const startedAtMs = performance.now();
  while (!(await server.answers())) {
    const ended = child.exitCode !== null || child.signalCode !== null;
    if (ended || performance.now() - startedAtMs > startTimeoutMs) {
      await running.stop();
      throw new Error(`${server.name} did not start: ${log.trim()}`);
    }
    await wait(20);
  }
  return running;
}

/** A port of the loopback address that is free at the moment. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("The system gave no port.");
  return address.port;
}

function idOf(user: string): number | undefined {
  try {
    return Number(execFileSync("id", ["-u", user], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }));
  } catch (error) {
    // Its exit status says that there is no such user; anything else is a failure to run it.
    if (error instanceof Error && "status" in error && error.status === 1) return undefined;
    throw error;
  }
}

function canReach(folder: string, uid: number, gid: number): boolean {
  for (let at = folder; ; at = path.dirname(at)) {
    const facts = statSync(at);
    const bit = facts.uid === uid ? 0o100 : facts.gid === gid ? 0o010 : 0o001;
    if ((facts.mode & bit) === 0) return false;
    if (at === path.dirname(at)) return true;
  }
}

function isFile(file: string): boolean {
  try {
    return statSync(file).isFile();
  } catch (error) {
    if (["ENOENT", "ENOTDIR", "EACCES"].includes(codeOf(error))) return false;
    throw error;
  }
}
