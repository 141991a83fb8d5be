import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type Cluster, environments, type MemberName } from "../../../deploy/cluster/cluster.ts";
import { type Random, randomFrom } from "../kill-plan.ts";

type EnvironmentName = (typeof environments)[number];

export interface ClusterMoment {
  readonly moment: number;
  readonly killed: MemberName;
  readonly afterMs: number;
  readonly activities: number;
  /** From the kill until everything that had been asked for had ended. */
  readonly endedAfterMs: number;
  readonly problems: readonly string[];
}

const victims = ["worker-1", "worker-2", "worker-3", "api-1", "api-2"] as const;
/** Leases are of 30 s; then comes what was asked for. */
const longestMs = 60_000;
/** A hold's deadline in the example, and a moment for the answer. */
const longestWaitMs = 31_000;

/** Requests and kills, seeded; and customers of the main site, all the time. */
export class ClusterRun {
  readonly #cluster: Cluster;
  readonly #random: Random;
  readonly #customers: Promise<void>;
  #closing = false;
  /** What each site must hold, and its newest backup. */
  readonly #data = new Map<EnvironmentName, string>();
  readonly #newest = new Map<EnvironmentName, { readonly id: string; readonly data: string }>();
  readonly traffic = { requests: 0, failed: 0, longest_ms: 0 };

  constructor(cluster: Cluster, seed: number) {
    this.#cluster = cluster;
    this.#random = randomFrom(seed);
    this.#customers = this.#visit();
  }

  async stop(): Promise<void> {
    this.#closing = true;
    await this.#customers;
  }

  async moment(moment: number): Promise<ClusterMoment> {
    const killed = victims[Math.floor(this.#random() * victims.length)] ?? "worker-1";
    const afterMs = Math.floor(this.#random() * 2500);
    const asked = (await Promise.all(environments.map((name) => this.#ask(name, moment)))).flat();
    await delay(afterMs);
    const port = this.#cluster.portOf(killed);
    await this.#cluster.stopMember(killed, "SIGKILL");
    const killedAtMs = performance.now();
    await this.#cluster.startMember(killed, port);
    const ended = await Promise.all(asked.map((id) => this.#cluster.end(id)));
    const endedAfterMs = Math.round(performance.now() - killedAtMs);
    const problems = ended
      .filter(({ result }) => result !== "success")
      .map(({ id, state, result, log }) => `${id} is ${state}, ${String(result)}: ${log}`);
    if (endedAfterMs > longestMs) problems.push(`ended after ${endedAfterMs} ms only`);
    // The other one may be the next to go.
    if (killed === "api-1" || killed === "api-2") await this.#cluster.serves(killed);
    problems.push(...(await this.#look()));
    if (this.traffic.failed > 0) problems.push(`${this.traffic.failed} requests of customers failed`);
    if (this.traffic.longest_ms > longestWaitMs) problems.push(`a customer waited for ${this.traffic.longest_ms} ms`);
    return { moment, killed, afterMs, activities: asked.length, endedAfterMs, problems };
  }

  /** A backup, perhaps after a restore of the newest one; returns the activities' ids. */
  async #ask(name: EnvironmentName, moment: number): Promise<string[]> {
    const restored = this.#random() < 0.5 ? this.#newest.get(name) : undefined;
    writeFileSync(this.#file(name), `${name} at ${moment}`);
    this.#data.set(name, restored?.data ?? `${name} at ${moment}`);
    const asked: string[] = [];
    if (restored !== undefined) asked.push(await this.#cluster.restore(name, restored.id));
    asked.push(await this.#cluster.backUp(name, name === "main"));
    return asked;
  }

  /** What is not as it must be once everything has ended. */
  async #look(): Promise<string[]> {
    const problems: string[] = [];
    const listed: string[] = [];
    for (const name of environments) {
      const expected = this.#data.get(name);
      const found = readFileSync(this.#file(name), "utf8");
      if (found !== expected) problems.push(`${name} holds "${found}" instead of "${String(expected)}"`);
      const left = readdirSync(join(this.#cluster.folder, name)).filter((file) => file !== "media");
      if (left.length > 0) problems.push(`${name} has ${left.join()} left`);
      const backups = await this.#cluster.ask<readonly { readonly id: string }[]>(
        `/projects/shop/environments/${name}/backups`,
      );
      listed.push(...backups.map(({ id }) => id));
      const [newest] = backups;
      if (newest === undefined) problems.push(`${name} has no backup`);
      else this.#newest.set(name, { id: newest.id, data: String(expected) });
    }
    const stats = JSON.parse(await this.#cluster.command(1, "repo:stats", "--format", "json")) as {
      readonly backups: readonly { readonly backup: string }[];
    };
    const stored = stats.backups.map(({ backup }) => backup);
    if (stored.toSorted().join() !== listed.toSorted().join()) {
      problems.push(`the catalog has ${listed.join()}, the repository ${stored.join()}`);
    }
    for (const n of [1, 2, 3]) {
      const left = readdirSync(join(this.#cluster.folder, `worker-${n}/operations`));
      if (left.length > 0) problems.push(`worker-${n} has the journals ${left.join()}`);
    }
    return problems;
  }

  /** One customer after the other. */
  async #visit(): Promise<void> {
    const url = `http://127.0.0.1:${this.#cluster.portOf("gateway")}/`;
    while (!this.#closing) {
      const startedMs = performance.now();
      const ok = await fetch(url).then(
        async (response) => response.ok && (await response.text()) === "the shop",
        () => false,
      );
      this.traffic.requests += 1;
      if (!ok) this.traffic.failed += 1;
      this.traffic.longest_ms = Math.max(this.traffic.longest_ms, Math.round(performance.now() - startedMs));
      await delay(20);
    }
  }

  #file(name: EnvironmentName): string {
    return join(this.#cluster.folder, name, "media/picture");
  }
}
