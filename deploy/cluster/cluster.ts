import { mkdir, writeFile } from "node:fs/promises";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { findPostgresql, startPostgresql } from "../../examples/shop/servers/postgresql.ts";
import { findProgram, freePort, type RunningServer, startServer } from "../../examples/shop/servers/server-process.ts";
import { HoldfastProcess, runHoldfast, type Variables } from "./processes.ts";

export const environments = ["main", "staging", "dev"] as const;
export type MemberName = "api-1" | "api-2" | "worker-1" | "worker-2" | "worker-3" | "gateway";

/** An activity as the API shows it; the rest of it is of no interest here. */
export interface ShownActivity {
  readonly id: string;
  readonly state: string;
  readonly result: string | null;
  readonly log: string;
}

/**
 * Two API servers behind HAProxy and three workers, each with a state folder of its own as if it were another machine, on one
 * PostgreSQL database; everything on this machine.
 */
export class Cluster {
  /** The balancer's. */
  readonly url: string;
  readonly folder: string;
  readonly #env: Variables;
  readonly #application: Server;
  readonly #members = new Map<MemberName, HoldfastProcess>();
  readonly #ports = new Map<MemberName, string>();
  readonly #servers: RunningServer[] = [];
  #access = "";

  private constructor(folder: string, env: Variables, application: Server) {
    this.folder = folder;
    this.url = env["PUBLIC_URL"] ?? "";
    this.#env = env;
    this.#application = application;
  }

  /** @throws Error if PostgreSQL or HAProxy is not installed */
  static async start(folder: string): Promise<Cluster> {
    const postgres = findPostgresql();
    const haproxy = findProgram(["haproxy"]);
    if (postgres === undefined || haproxy === undefined) {
      throw new Error("This needs PostgreSQL and HAProxy (Debian: apt install postgresql haproxy).");
    }
    for (const name of environments) {
      await mkdir(join(folder, name, "media"), { recursive: true });
      await writeFile(join(folder, name, "media/picture"), `a picture of ${name}`);
    }
    const database = await startPostgresql(postgres, join(folder, "postgresql"), "cluster");
    const application = createServer((_request, response) => response.end("the shop")).listen(0, "127.0.0.1");
    await once(application, "listening");
    const balancerPort = await freePort();
    const env = {
      CLUSTER: folder,
      CATALOG_URL: database.url,
      APPLICATION_URL: `http://127.0.0.1:${(application.address() as AddressInfo).port}`,
      PUBLIC_URL: `http://127.0.0.1:${balancerPort}`,
    };
    const cluster = new Cluster(folder, env, application);
    cluster.#servers.push(database);
    try {
      await cluster.#startAll(haproxy, balancerPort);
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  async #startAll(haproxy: string, balancerPort: number): Promise<void> {
    // Makes the key, which the other machines then have a copy of, the repository and the catalog's tables.
    for (const n of [1, 2, 3]) await runHoldfast(`worker-${n}.yaml`, ["init"], this.#env);
    const ports = { API_1_PORT: await this.startMember("api-1"), API_2_PORT: await this.startMember("api-2") };
    for (const name of ["worker-1", "worker-2", "worker-3", "gateway"] as const) await this.startMember(name);
    const settings = { ...ports, BALANCER_PORT: String(balancerPort) };
    const balancer = await startServer({
      name: "HAProxy",
      program: "env",
      args: [
        ...Object.entries(settings).map(([name, value]) => `${name}=${value}`),
        haproxy,
        "-db",
        "-f",
        join(import.meta.dirname, "haproxy.cfg"),
      ],
      folder: { path: this.folder, prefix: [], temporary: false },
      port: balancerPort,
      stopSignal: "SIGTERM",
      answers: () => isReady(this.url),
    });
    this.#servers.push(balancer);
    await this.#signIn();
  }

  /** Starts a member, again if it was stopped. Returns the port that it listens on, if it does. */
  async startMember(name: MemberName, port = "0"): Promise<string> {
    const api = name.startsWith("api");
    const configuration = api ? "api.yaml" : name === "gateway" ? "worker-1.yaml" : `${name}.yaml`;
    const args = name === "gateway" ? ["gateway", "main"] : ["serve", "--role", api ? "api" : "worker"];
    const ready = api ? /Listening on http:\S+:(\d+)\./ : name === "gateway" ? /listens on \S+:(\d+)\./ : /Working on/;
    const env = api ? { ...this.#env, API: name, API_PORT: port } : this.#env;
    const { running, said } = await HoldfastProcess.start(configuration, args, { env, ready });
    this.#members.set(name, running);
    this.#ports.set(name, said[1] ?? "");
    return this.portOf(name);
  }

  /** Resolves once the balancer sends requests to this API server. */
  async serves(name: MemberName): Promise<void> {
    while ((await fetch(`${this.url}/health`)).headers.get("x-served-by") !== name) await delay(100);
  }

  /** Where an API server or the gateway listens, or listened last. */
  portOf(name: MemberName): string {
    return this.#ports.get(name) ?? "";
  }

  async stopMember(name: MemberName, signal?: NodeJS.Signals): Promise<void> {
    await this.#members.get(name)?.stop(signal);
    this.#members.delete(name);
  }

  /** What a command on a worker's machine prints. */
  command(worker: 1 | 2 | 3, ...args: string[]): Promise<string> {
    return runHoldfast(`worker-${worker}.yaml`, args, this.#env);
  }

  /** As a machine user whose token was made by a command on a worker's machine. */
  async #signIn(): Promise<void> {
    await this.command(1, "user:add", "nightly@example.com", "--machine", "--role", "admin");
    const token = (await this.command(1, "token:create", "nightly@example.com", "cluster")).trim();
    const body = new URLSearchParams({ grant_type: "api_token", api_token: token });
    const response = await fetch(`${this.url}/oauth2/token`, { method: "POST", body });
    const answer = (await response.json()) as { readonly access_token?: string };
    if (answer.access_token === undefined) throw new Error(`No access token: ${JSON.stringify(answer)}`);
    this.#access = answer.access_token;
  }

  /** Asks the API through the balancer. @throws Error with its answer, if it refuses */
  async ask<T>(path: string, body?: unknown): Promise<T> {
    const response = await fetch(this.url + path, {
      headers: { authorization: `Bearer ${this.#access}` },
      ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`);
    return JSON.parse(text) as T;
  }

  /** Asks for a backup; returns the activity's id. */
  backUp(environment: string, safe: boolean): Promise<string> {
    return this.#activity(`/projects/shop/environments/${environment}/backup`, { safe });
  }

  /** Asks for a restore in place; returns the activity's id. */
  restore(environment: string, backup: string): Promise<string> {
    return this.#activity(`/projects/shop/environments/${environment}/backups/${backup}/restore`, {});
  }

  async #activity(path: string, body: unknown): Promise<string> {
    const answer = await this.ask<{ _embedded: { activities: readonly [{ id: string }] } }>(path, body);
    return answer._embedded.activities[0].id;
  }

  /** The activity, when it has ended: follows its log, through another server if the one that told it is gone. */
  async end(id: string): Promise<ShownActivity> {
    for (;;) {
      const log = await this.#log(id);
      if (log.includes('"seal":true')) {
        return { ...(await this.ask<Omit<ShownActivity, "log">>(`/projects/shop/activities/${id}`)), log };
      }
      await delay(200);
    }
  }

  /** As far as it came: the server may go while it tells. */
  async #log(id: string): Promise<string> {
    try {
      const response = await fetch(`${this.url}/projects/shop/activities/${id}/log`, {
        headers: { authorization: `Bearer ${this.#access}` },
      });
      return await response.text();
    } catch (error) {
      if (error instanceof TypeError) return "";
      throw error;
    }
  }

  /** Idempotent. */
  async stop(): Promise<void> {
    await Promise.all([...this.#members.keys()].map((name) => this.stopMember(name)));
    for (const server of this.#servers.splice(0).toReversed()) await server.stop();
    this.#application.close();
  }
}

async function isReady(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/ready`)).status === 200;
  } catch (error) {
    // Nobody listens yet.
    if (error instanceof TypeError) return false;
    throw error;
  }
}
