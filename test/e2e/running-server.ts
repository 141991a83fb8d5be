import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";

const program = resolve(import.meta.dirname, "../../bin/holdfast.js");
const password = "correct horse battery staple";

/** A process of ours that is running. */
export interface RunningCommand {
  readonly child: ChildProcess;
  /** All that it has said on standard error so far. */
  readonly said: () => string;
  /** Resolves with the line that matches, when it has been said. */
  readonly line: (pattern: RegExp) => Promise<RegExpExecArray>;
  /** Its exit code. */
  readonly ended: () => Promise<number | null>;
  readonly stop: (signal?: NodeJS.Signals) => Promise<number | null>;
}

export function startCommand(folder: string, ...args: string[]): RunningCommand {
  const child = spawn(process.execPath, [program, ...args], {
    cwd: folder,
    env: { PATH: process.env["PATH"] ?? "", TZ: "UTC" },
    stdio: ["ignore", "ignore", "pipe"],
  });
  const lines: string[] = [];
  const waiting = new Set<() => void>();
  const wake = (): void => waiting.forEach((one) => one());
  createInterface({ input: child.stderr ?? process.stdin }).on("line", (line) => {
    lines.push(line);
    wake();
  });
  const closed = once(child, "close") as Promise<[number | null]>;
  let ended = false;
  void closed.then(() => {
    ended = true;
    wake();
  });
  return {
    child,
    said: () => lines.join("\n"),
    line: async (pattern) => {
      for (;;) {
        const match = lines.map((line) => pattern.exec(line)).find((found) => found !== null);
        if (match !== undefined) return match;
        if (ended) throw new Error(`ended without ${String(pattern)}:\n${lines.join("\n")}`);
        await new Promise<void>((go) => {
          const woken = (): void => {
            waiting.delete(woken);
            go();
          };
          waiting.add(woken);
        });
      }
    },
    ended: async () => (await closed)[0],
    stop: async (signal = "SIGTERM") => {
      if (!ended) child.kill(signal);
      return (await closed)[0];
    },
  };
}

export interface Outcome {
  readonly exit: number | null;
  readonly out: string;
  readonly err: string;
}

/** A shop with a gateway, and `holdfast serve` on it: processes as they run in production. */
export class RunningServer {
  readonly folder: string;
  readonly #upstream: Server;
  #gateway: RunningCommand | undefined;
  #server: RunningCommand | undefined;
  url = "";
  #administrator = "";

  private constructor(folder: string, upstream: Server) {
    this.folder = folder;
    this.#upstream = upstream;
  }

  /** @param configuration of the shop, given the port of what stands behind the gateway of `main` */
  static async start(configuration: (upstream: number) => string = config): Promise<RunningServer> {
    const folder = await mkdtemp(join(tmpdir(), "holdfast-server-"));
    const upstream = createServer((_request, response) => response.end("ok"));
    upstream.listen(0, "127.0.0.1");
    await once(upstream, "listening");
    const { port } = upstream.address() as AddressInfo;
    await mkdir(join(folder, "media"));
    await mkdir(join(folder, "staging-media"));
    await writeFile(join(folder, "media/a.txt"), "alpha");
    const database = new DatabaseSync(join(folder, "flags.db"));
    database.exec("PRAGMA journal_mode = WAL; CREATE TABLE flag (name TEXT); INSERT INTO flag VALUES ('on')");
    database.close();
    await writeFile(join(folder, "holdfast.yaml"), configuration(port));
    const made = new RunningServer(folder, upstream);
    await startCommand(folder, "init").ended();
    made.#gateway = startCommand(folder, "gateway", "main");
    await made.#gateway.line(/The gateway of main listens/);
    await made.serve();
    return made;
  }

  /** One command line in the shop's folder, as a process of its own. */
  async run(
    args: readonly string[],
    options: { readonly env?: NodeJS.ProcessEnv; readonly cwd?: string; readonly stdin?: string } = {},
  ): Promise<Outcome> {
    const child = spawn(process.execPath, [program, ...args], {
      cwd: options.cwd ?? this.folder,
      env: { PATH: process.env["PATH"] ?? "", TZ: "UTC", ...options.env },
      stdio: ["pipe", "pipe", "pipe"],
    });
    child.stdin.end(options.stdin ?? "");
    const [out, err, [exit]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, "close") as Promise<[number | null]>,
    ]);
    return { exit, out, err };
  }

  /** Starts the server, again if it was stopped. @param port default: a free one */
  async serve(port = "0"): Promise<void> {
    const file = join(this.folder, "holdfast.yaml");
    await writeFile(
      file,
      (await readFile(file, "utf8")).replace(/listen: 127\.0\.0\.1:\d+ \}/, `listen: 127.0.0.1:${port} }`),
    );
    const server = startCommand(this.folder, "serve");
    this.#server = server;
    const [, url = ""] = await server.line(/Listening on (http:\S+)\./);
    this.url = url;
    await server.line(/Working on the activities/);
  }

  /** Resolves once the server has answered a request that its log line shows so. */
  async requestSeen(pattern: RegExp): Promise<void> {
    await this.#server?.line(pattern);
  }

  log(): string {
    return this.#server?.said() ?? "";
  }

  stopServer(signal?: NodeJS.Signals): Promise<number | null> {
    return this.#server?.stop(signal) ?? Promise.resolve(null);
  }

  async stop(): Promise<void> {
    await this.stopServer();
    await this.#gateway?.stop();
    this.#upstream.close();
    await rm(this.folder, { recursive: true });
  }

  /** Becomes the first administrator by the link that the first start prints. */
  async becomeAdministrator(): Promise<void> {
    const [, link = ""] = (await this.#server?.line(/\/setup#(hfl_[\w-]+)/)) ?? [];
    await this.post("/setup", { link, password, email: "root@example.com" });
    const session = await this.post("/oauth2/token", {
      grant_type: "password",
      username: "root@example.com",
      password,
    });
    this.#administrator = String(session["access_token"]);
  }

  /** A machine user's API token. */
  async machineUser(name: string, permissions: readonly string[]): Promise<string> {
    const user = await this.post("/users", { email: `${name}@example.com`, machine: true });
    await this.post("/projects/shop/user-access", [{ user_id: user["id"], permissions }]);
    return String((await this.post(`/users/${String(user["id"])}/api-tokens`, { name }))["token"]);
  }

  async post(path: string, body: unknown): Promise<Record<string, unknown>> {
    const response = await fetch(this.url + path, {
      method: "POST",
      body: JSON.stringify(body),
      headers: { authorization: `Bearer ${this.#administrator}` },
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`);
    return JSON.parse(text) as Record<string, unknown>;
  }
}

const config = (upstream: number): string => `version: 1
state: ./state
server: { listen: 127.0.0.1:0 }
projects:
  shop:
    title: The shop
    repository:
      passwordFile: ./repository.key
      replicas: [{ name: disk, type: local, path: ./repository }]
    environments:
      main:
        type: production
        gateway: { type: builtin, listen: 127.0.0.1:0, upstream: "http://127.0.0.1:${upstream}" }
        applications: { app: { mounts: { media: ./media } } }
        services: { flags: { type: sqlite, path: ./flags.db } }
      staging:
        type: staging
        parent: main
        applications: { app: { mounts: { media: ./staging-media } } }
      dev:
        type: development
        status: inactive
        parent: main
`;
