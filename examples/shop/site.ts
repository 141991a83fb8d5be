import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, cpSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { stringify } from "yaml";
import { freePort } from "./servers/server-process.ts";
import { type ServiceEntry, type ShopServices, startServices } from "./services.ts";
import { type ShopProcess, startShop } from "./shop-process.ts";

/** An environment of the site's `holdfast.yaml` beside `main`, such as fresh servers to restore into. */
export interface OtherEnvironment {
  readonly services: ShopServices;
  readonly folder: string;
}

export interface SiteOptions {
  /** Absolute; made if missing. Everything that the site writes is in it. */
  readonly folder: string;
  /** Uses SQLite for everything, whatever is installed. */
  readonly sqliteOnly?: boolean;
  /** Of the project; default `upsun`, which keeps two manual backups. */
  readonly profile?: string;
  /** Environments that `holdfast.yaml` declares beside `main`; without a gateway. */
  readonly others?: Readonly<Record<string, OtherEnvironment>>;
}

/** How a run of the CLI ended. */
export interface CliResult {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The shop as people run it: its services, its own process, Holdfast's gateway in front, and a `holdfast.yaml`. */
export interface Site {
  readonly folder: string;
  readonly services: ShopServices;
  readonly configFile: string;
  /** Where customers come in: the gateway. */
  readonly url: string;
  /** Starts the CLI on the site's configuration. */
  holdfast(args: readonly string[]): Promise<CliResult>;
  /** The same, as a process to kill. */
  spawnHoldfast(args: readonly string[]): ChildProcess;
  /** Stops gateway, shop and services. Idempotent. */
  stop(): Promise<void>;
}

const repositoryRoot = path.join(import.meta.dirname, "../..");
const cli = path.join(repositoryRoot, "bin/holdfast.js");

/** Starts everything; resolves when the shop answers through the gateway. */
export async function startSite(options: SiteOptions): Promise<Site> {
  const { folder } = options;
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  chmodSync(folder, 0o755);
  const stops: (() => Promise<void>)[] = [];
  const stop = async (): Promise<void> => {
    for (const one of stops.splice(0).reverse()) await one();
  };
  try {
    const services = await startServices({ folder, ...(options.sqliteOnly === true ? { sqliteOnly: true } : {}) });
    stops.push(services.stop);
    deployCode(folder);
    const shop = await startShop(services.config);
    stops.push(shop.stop);
    const port = await freePort();
    const configFile = path.join(folder, "holdfast.yaml");
    writeFileSync(configFile, configuration(services, shop, port, options), { mode: 0o600 });
    const spawnHoldfast = (args: readonly string[]): ChildProcess =>
      spawn(process.execPath, [cli, "-c", configFile, ...args], { stdio: ["ignore", "pipe", "pipe"] });
    const url = `http://127.0.0.1:${port}`;
    const site: Site = {
      folder,
      services,
      configFile,
      url,
      holdfast: (args) => finish(spawnHoldfast(args)),
      spawnHoldfast,
      stop,
    };
    const init = await site.holdfast(["init"]);
    if (init.exitCode !== 0) throw new Error(`holdfast init failed:\n${init.stderr}`);
    stops.push(await startGateway(site));
    return site;
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The "deployed code": the shop's own sources beside its mount, as a deployment would leave them. */
function deployCode(folder: string): void {
  const app = path.join(folder, "app");
  cpSync(import.meta.dirname, app, {
    recursive: true,
    filter: (source) => !source.includes(`${path.sep}quickstart`) && !source.endsWith(".test.ts"),
  });
}

function configuration(services: ShopServices, shop: ShopProcess, port: number, options: SiteOptions): string {
  const application = { app: { code: "./app", mounts: { media: "./app/public/media" } } };
  const environments: Record<string, unknown> = {
    main: {
      type: "production",
      gateway: { type: "builtin", listen: `127.0.0.1:${port}`, upstream: shop.url },
      applications: application,
      services: services.entries satisfies Record<string, ServiceEntry>,
    },
  };
  for (const [name, other] of Object.entries(options.others ?? {})) {
    const code = path.join(other.folder, "app");
    mkdirSync(code, { recursive: true });
    environments[name] = {
      type: "staging",
      applications: { app: { code, mounts: { media: path.join(code, "public/media") } } },
      services: other.services.entries,
    };
  }
  return stringify({
    version: 1,
    state: "./state",
    projects: {
      shop: {
        title: "Print shop",
        profile: options.profile ?? "upsun",
        repository: {
          passwordFile: "./repository.key",
          replicas: [{ name: "disk", type: "local", path: "./repository" }],
        },
        environments,
      },
    },
  });
}

/** Starts `holdfast gateway`; returns what stops it. */
async function startGateway(site: Site): Promise<() => Promise<void>> {
  const child = site.spawnHoldfast(["gateway"]);
  let said = "";
  child.stdout?.resume();
  child.stderr?.on("data", (text: Buffer) => {
    said = (said + text.toString()).slice(-10_000);
  });
  const exited = once(child, "exit");
  const killAtExit = (): void => void child.kill("SIGKILL");
  process.once("exit", killAtExit);
  const stop = async (): Promise<void> => {
    process.off("exit", killAtExit);
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
    await exited;
  };
  for (let tries = 0; tries < 300; tries += 1) {
    if (child.exitCode !== null) throw new Error(`The gateway did not start:\n${said}`);
    if (await answers(site.url)) return stop;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await stop();
  throw new Error(`The shop did not answer through the gateway within 15 s:\n${said}`);
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/health`);
    await response.arrayBuffer();
    return response.ok;
  } catch (error) {
    if (error instanceof TypeError) return false; // fetch's word for "not connected"
    throw error;
  }
}

/** Collects what a process prints until it ends. */
export async function finish(child: ChildProcess): Promise<CliResult> {
  let stdout = "";
  let stderr = "";
  child.stdout?.on("data", (text: Buffer) => {
    stdout += text.toString();
  });
  child.stderr?.on("data", (text: Buffer) => {
    stderr += text.toString();
  });
  const [exitCode, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
  return { exitCode, signal, stdout, stderr };
}

/** True if a site was started in this folder before. */
export const hasSite = (folder: string): boolean => existsSync(path.join(folder, "holdfast.yaml"));
