// Throughput and latency of the built-in gateway when nothing is held, beside nginx in front of the same upstream on
// the same machine, in turns within one run. Needs wrk and nginx. Argument: seconds a measurement (default 5).
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const seconds = Number(process.argv[2] ?? 5);
const rounds = 3;
const connections = [1, 32, 128];

interface Measured {
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly errors: number;
}

const folder = await mkdtemp(path.join(tmpdir(), "holdfast-bench-"));
const children: ChildProcess[] = [];

/** Starts a Node program that prints its port. */
async function startNode(program: string, args: readonly string[]): Promise<number> {
  const child = spawn(process.execPath, [path.join(import.meta.dirname, "gateway", program), ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.push(child);
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  return Number(line.toString());
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  server.close();
  await once(server, "close");
  return port;
}

/** One worker, as the gateway is one process, with keep-alive to the upstream. */
async function startNginx(upstreamPort: number): Promise<number> {
  const port = await freePort();
  const file = path.join(folder, "nginx.conf");
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `${name}_temp_path ${folder}/${name};`)
    .join(" ");
  await writeFile(
    file,
    `daemon off; worker_processes 1; pid ${folder}/nginx.pid; error_log stderr error;
events { worker_connections 4096; }
http { access_log off; ${temporary} keepalive_requests 100000000;
  upstream app { server 127.0.0.1:${upstreamPort}; keepalive 256; }
  server { listen 127.0.0.1:${port} backlog=4096;
    location / { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $host; } } }
`,
  );
  children.push(spawn("nginx", ["-c", file, "-p", folder], { stdio: ["ignore", "inherit", "inherit"] }));
  for (;;) {
    try {
      if ((await fetch(`http://127.0.0.1:${port}/`)).ok) return port;
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
    }
  }
}

async function measure(port: number, count: number): Promise<Measured> {
  const { stdout } = await run("wrk", ["-t1", `-c${count}`, `-d${seconds}s`, "--latency", `http://127.0.0.1:${port}/`]);
  const milliseconds = (label: string): number => {
    const [, value = "NaN", unit = ""] = new RegExp(`${label}\\s+([\\d.]+)(us|ms|s)`).exec(stdout) ?? [];
    return Number(value) * (unit === "us" ? 0.001 : unit === "s" ? 1000 : 1);
  };
  const errors = [...stdout.matchAll(/(?:connect|read|write|timeout|Non-2xx or 3xx responses:?) (\d+)/g)];
  return {
    requestsPerSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1]),
    p50Ms: milliseconds("50%"),
    p99Ms: milliseconds("99%"),
    errors: errors.reduce((sum, match) => sum + Number(match[1]), 0),
  };
}

/** The median run by throughput. */
const median = (runs: Measured[]): Measured | undefined =>
  runs.toSorted((a, b) => a.requestsPerSecond - b.requestsPerSecond)[Math.floor(runs.length / 2)];

try {
  const upstreamPort = await startNode("upstream.ts", []);
  const ports = {
    direct: upstreamPort,
    nginx: await startNginx(upstreamPort),
    gateway: await startNode("proxy.ts", [`http://127.0.0.1:${upstreamPort}`, path.join(folder, "control", "g.sock")]),
  };
  await measure(ports.gateway, 32);
  const results = [];
  for (const count of connections) {
    const runs: Record<keyof typeof ports, Measured[]> = { direct: [], nginx: [], gateway: [] };
    for (let round = 0; round < rounds; round += 1) {
      for (const name of ["direct", "nginx", "gateway"] as const) runs[name].push(await measure(ports[name], count));
    }
    const [direct, nginx, gateway] = [median(runs.direct), median(runs.nginx), median(runs.gateway)];
    const ratio = (gateway?.requestsPerSecond ?? 0) / (nginx?.requestsPerSecond ?? 1);
    results.push({ connections: count, direct, nginx, gateway, gatewayToNginx: Number(ratio.toFixed(3)) });
  }
  process.stdout.write(`${JSON.stringify({ benchmark: "gateway", secondsEach: seconds, rounds, results }, null, 2)}\n`);
} finally {
  for (const child of children) {
    if (child.exitCode !== null) continue;
    child.kill("SIGTERM");
    await once(child, "exit");
  }
  await rm(folder, { recursive: true, force: true });
}
