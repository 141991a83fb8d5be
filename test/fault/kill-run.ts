import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { seedShop } from "../../examples/shop/seed.ts";
import { Shop } from "../../examples/shop/shop.ts";
import { type Site, startSite } from "../../examples/shop/site.ts";
import { startTraffic, type Traffic } from "../../examples/shop/traffic.ts";
import { leftOperation } from "./journal-steps.ts";
import { planKill, type PlannedKill, randomFrom } from "./kill-plan.ts";
import type { KillRunReport, MomentReport } from "./kill-report.ts";
import { type CommandEnd, isDone, type KillAt, runCommand } from "./killed-command.ts";
import {
  type AtRest,
  leftovers,
  markedProcesses,
  markedProcessIds,
  markVariable,
  readAtRest,
  repositoryTemporaries,
} from "./leftovers.ts";
import { OrderJournal } from "./order-journal.ts";
import { catalogProblems, resticProblems } from "./repository-checks.ts";
import { type KilledRestore, whatIsThere } from "./restored-state.ts";
import { type ShopFingerprint, shopFingerprint } from "./shop-fingerprint.ts";

export interface KillRunOptions {
  readonly seed: number;
  /** Kills to make. One that comes after the end of its command does not count. */
  readonly moments: number;
  /** Number of the first moment, from 1 (default): those before it are drawn from the seed and passed over. */
  readonly from?: number;
  /** Absolute; empty or missing. Everything is in it; it stays. */
  readonly folder: string;
  /** Default 15. */
  readonly requestsPerSecond?: number;
  /** Ends the run after the moment that it is at. */
  readonly signal?: AbortSignal;
  /** Called after each. */
  readonly onMoment?: (report: MomentReport) => void;
}

/** The default of `holdTimeout`: a page that needs the database has to be there by then, however the process died. */
const leaseMs = 30_000;

/** Kills the CLI at moments that the seed decides, and looks at everything after each. */
export async function runKills(options: KillRunOptions): Promise<KillRunReport> {
  mkdirSync(path.join(options.folder, "tmp"), { recursive: true });
  const { TMPDIR } = process.env;
  process.env[markVariable] = options.folder;
  const site = await startSite({ folder: options.folder });
  // For the commands only: the servers of a site that their users cannot reach are in the system's.
  process.env["TMPDIR"] = path.join(options.folder, "tmp");
  try {
    return await new KillRun(site, options).run();
  } finally {
    await site.stop();
    delete process.env[markVariable];
    if (TMPDIR === undefined) delete process.env["TMPDIR"];
    else process.env["TMPDIR"] = TMPDIR;
  }
}

/** A backup of a site in which nobody ordered, and what was there. */
interface KnownBackup {
  readonly id: string;
  readonly holds: ShopFingerprint;
}

class KillRun {
  readonly #site: Site;
  readonly #options: KillRunOptions;
  readonly #orders: OrderJournal;
  readonly #known: ReadonlySet<number>;
  readonly #usualMs = new Map<string, number>();
  readonly #moments: MomentReport[] = [];
  #rest: AtRest = new Map();
  #codeVersion = 0;

  constructor(site: Site, options: KillRunOptions) {
    this.#site = site;
    this.#options = options;
    this.#orders = new OrderJournal(site);
    this.#known = new Set([process.pid, ...markedProcessIds()]);
  }

  async run(): Promise<KillRunReport> {
    const shop = await Shop.open(this.#site.services.config);
    await seedShop(shop, { databaseBytes: 2_000_000, files: 300, filesBytes: 3_000_000 });
    await shop.close();
    let backup = await this.#measure();
    this.#rest = await readAtRest(this.#site, this.#known);
    const random = randomFrom(this.#options.seed);
    const { from = 1, signal } = this.#options;
    for (let passed = 1; passed < from; passed += 1) planKill(random);
    for (let kills = 0; kills < this.#options.moments && signal?.aborted !== true;) {
      const problems: string[] = [];
      const { report, next } = await this.#moment(planKill(random), backup, problems);
      backup = next;
      if (report.killed) kills += 1;
      if (report.killed && kills % 10 === 0) problems.push(...resticProblems(this.#site));
      this.#moments.push(report);
      this.#options.onMoment?.(report);
    }
    const problems = await this.#problemsAtTheEnd();
    return { moments: this.#moments, problems, temporaries: repositoryTemporaries(this.#site) };
  }

  /** Unharmed runs; the very first does not count, since it has everything to store. */
  async #measure(): Promise<KnownBackup> {
    const traffic = this.#traffic(0.5);
    const modes = ["safe backup", "live backup", "safe backup"] as const;
    for (const mode of modes) this.#note(mode, await this.#do(backupArgs(mode)));
    await traffic.stop();
    const before = await this.#recoveringBackup("safe backup", []);
    this.#note("restore", await this.#do(["backup:restore", before.id]));
    const { id } = await this.#recoveringBackup("safe backup", []);
    return { id, holds: await shopFingerprint(this.#site) };
  }

  #note(operation: string, { phases, durationMs }: CommandEnd): void {
    const firstMs = Math.min(...phases.values());
    this.#usualMs.set(`${operation} start`, firstMs);
    this.#usualMs.set(`${operation} run`, durationMs - firstMs);
    const [started, ended] = [phases.get("started hold"), phases.get("ended hold")];
    if (started !== undefined && ended !== undefined) this.#usualMs.set(`${operation} hold`, ended - started);
  }

  async #do(args: readonly string[]): Promise<CommandEnd> {
    const end = await runCommand(this.#site, args);
    if (!isDone(end)) throw new Error(`holdfast ${args.join(" ")} exited with ${end.exitCode}:\n${end.stderr}`);
    return end;
  }

  #traffic(orderShare: number): Traffic {
    const requestsPerSecond = this.#options.requestsPerSecond ?? 15;
    return startTraffic({ url: this.#site.url, journalPath: this.#orders.path, requestsPerSecond, orderShare });
  }

  async #moment(
    plan: PlannedKill,
    backup: KnownBackup,
    problems: string[],
  ): Promise<{ report: MomentReport; next: KnownBackup }> {
    const { operation } = plan;
    const isRestore = operation === "restore";
    const atBackup = this.#orders.read();
    if (isRestore) await this.#changeEverything();
    const old = isRestore && !plan.orders ? await shopFingerprint(this.#site) : undefined;
    const traffic = this.#traffic(isRestore && !plan.orders ? 0 : 0.5);
    await wait(100);
    let answering: Promise<number> | undefined;
    const startedAtMs = Date.now();
    const args = isRestore ? ["backup:restore", backup.id] : backupArgs(operation);
    const end = await runCommand(this.#site, args, this.#killAt(plan), () => {
      answering = this.#answers(problems);
    });
    const endedAtMs = startedAtMs + end.durationMs;
    if (!end.killed && !isDone(end)) problems.push(`${operation} exited with ${end.exitCode}: ${end.stderr}`);
    const left = end.killed ? leftOperation(this.#site.folder) : undefined;
    const answeredMs = (await answering) ?? 0;
    if (answeredMs > leaseMs) problems.push(`the site answered after ${Math.round(answeredMs)} ms only`);
    // As in life: customers go on before somebody notices.
    await wait(150);
    const seen = await traffic.stop();
    const orphans = markedProcesses(this.#known);
    const reading = this.#traffic(0);
    if (plan.killNextAtShare !== undefined && end.killed) await this.#killNext(plan);
    const next = await this.#recoveringBackup(plan.next, problems);
    const read = await reading.stop();

    const steps = new Set(left?.steps);
    // A restore that came to its hold has a journal, until it is complete: killed without one, it only had to exit.
    const isComplete = !end.killed || (left === undefined && end.phases.has("started hold"));
    const isNew = isRestore && (isComplete || steps.has("swapped"));
    const isHalf = isRestore && steps.has("swap") && !isNew;
    if (left !== undefined && next.recovered.length === 0 && plan.killNextAtShare === undefined) {
      problems.push(`the journal stood at ${left.steps.at(-1)}, but nothing was recovered`);
    }
    const failures = [...seen.failures, ...read.failures];
    if (!isHalf) problems.push(...failures.map((failure) => `request failed: ${failure}`));
    const holds = await shopFingerprint(this.#site);
    const killed: KilledRestore = {
      atBackup,
      old,
      backedUp: backup.holds,
      now: holds,
      isNew,
      isHalf,
      holdAtMs: startedAtMs + (end.phases.get("started hold") ?? 0),
      endedAtMs,
    };
    const state = isRestore ? await whatIsThere(this.#orders, killed, problems) : undefined;
    problems.push(...(await leftovers(this.#site, this.#rest, this.#known)), ...(await catalogProblems(this.#site)));
    const report: MomentReport = {
      moment: this.#moments.length + (this.#options.from ?? 1),
      ...plan,
      endedAfterMs: Math.round(end.durationMs),
      killed: end.killed,
      stoodAt: left === undefined ? "none" : `${left.kind} ${left.steps.at(-1)}`,
      answeredMs: Math.round(answeredMs),
      orphans,
      recovered: next.recovered,
      environment: state?.environment,
      failedHalfSwapped: isHalf ? failures : [],
      ordersHalfSwapped: state?.ordersHalfSwapped ?? 0,
      requests: seen.requests + read.requests,
      longestRequestMs: Math.round(Math.max(seen.longestMs, read.longestMs)),
      recoveryMs: Math.round(next.durationMs),
      recoveryHeldMs: Math.round(next.recoveryHeldMs),
      problems,
    };
    return { report, next: { id: next.id, holds } };
  }

  #killAt({ operation, draw, share }: PlannedKill): KillAt {
    const usualMs = this.#usualMs.get(`${operation} ${draw}`) ?? 0;
    if (draw === "start") return { after: "start", delayMs: share * usualMs };
    if (draw === "hold") return { after: "started hold", delayMs: share * usualMs * 1.5 };
    return { after: operation === "restore" ? "started stage" : "started prepare", delayMs: share * usualMs };
  }

  async #killNext({ killNextAtShare = 0, next }: PlannedKill): Promise<void> {
    const usualMs = (this.#usualMs.get(`${next} start`) ?? 0) + (this.#usualMs.get(`${next} run`) ?? 0);
    const delayMs = killNextAtShare * usualMs;
    await runCommand(this.#site, backupArgs(next), { after: "start", delayMs });
  }

  /** Orders and a deployment since the backup, so that old and new differ in every component. */
  async #changeEverything(): Promise<void> {
    const traffic = this.#traffic(1);
    while (traffic.report().acknowledged < 5) await wait(20);
    await traffic.stop();
    this.#codeVersion += 1;
    writeFileSync(path.join(this.#site.folder, "app/VERSION"), `${this.#codeVersion}\n`);
  }

  /** Milliseconds until the site answers a page that needs its database. */
  async #answers(problems: string[]): Promise<number> {
    const startedAtMs = performance.now();
    for (;;) {
      const response = await fetch(this.#site.url, { signal: AbortSignal.timeout(2 * leaseMs) });
      await response.arrayBuffer();
      const afterMs = performance.now() - startedAtMs;
      if (response.status === 200 || afterMs > leaseMs) return afterMs;
      problems.push(`the first page after the kill had status ${response.status} after ${Math.round(afterMs)} ms`);
    }
  }

  /** The next command. Once more if it fails, so that one defect does not hide others. */
  async #recoveringBackup(
    mode: PlannedKill["next"],
    problems: string[],
  ): Promise<{ id: string; recovered: string[]; durationMs: number; recoveryHeldMs: number }> {
    for (let tries = 1; ; tries += 1) {
      const end = await runCommand(this.#site, backupArgs(mode));
      if (!isDone(end)) {
        problems.push(`the next command exited with ${end.exitCode}: ${end.stderr.slice(-1500)}`);
        if (tries === 2) throw new Error(`The environment does not recover:\n${problems.join("\n")}`);
        continue;
      }
      if (end.exitCode !== 0) problems.push(`the next command warned: ${end.stderr.slice(-1500)}`);
      const { id } = JSON.parse(end.stdout) as { id: string };
      const recovered = end.events.flatMap(({ type, outcome = "" }) => (type === "recovered" ? [outcome] : []));
      // The hold of the backup itself begins after all has been recovered.
      const recovering = end.events.slice(0, end.events.findLastIndex(({ type }) => type === "recovered") + 1);
      const recoveryHeldMs = recovering.reduce((sum, { figures }) => sum + (figures?.heldMs ?? 0), 0);
      return { id, recovered, durationMs: end.durationMs, recoveryHeldMs };
    }
  }

  /** The newest safe backup, taken while people ordered, has every order from before it. And restic has to be content. */
  async #problemsAtTheEnd(): Promise<string[]> {
    const traffic = this.#traffic(0.5);
    await wait(1000);
    const { stdout } = await this.#do(backupArgs("safe backup"));
    await wait(500);
    await traffic.stop();
    const made = JSON.parse(stdout) as { id: string; components: { frozen_at: string }[] };
    await this.#do(["backup:restore", made.id]);
    const frozenAtMs = Math.min(...made.components.map((component) => Date.parse(component.frozen_at)));
    const report = await this.#orders.check(frozenAtMs);
    const problems = report.faults.map(({ id, fault }) => `order ${id} in the newest safe backup: ${fault}`);
    problems.push(...report.lost.map((id) => `order ${id} is not in the newest safe backup`));
    return [...problems, ...resticProblems(this.#site)];
  }
}

function backupArgs(mode: "safe backup" | "live backup"): string[] {
  return mode === "live backup" ? ["backup:create", "--live"] : ["backup:create"];
}
