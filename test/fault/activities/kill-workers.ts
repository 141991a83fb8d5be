import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type BackupId, type EnvironmentId, systemClock } from "../../../src/base/index.ts";
import {
  type Activity,
  type Actor,
  type CatalogPlace,
  hasEnded,
  type NewActivity,
  type OpenCatalog,
  openCatalog,
} from "../../../src/control/index.ts";
import { type Random, randomFrom } from "../kill-plan.ts";
import { backupActivity, backupDeleteActivity, restoreActivity } from "./activity-requests.ts";
import { endedWrongly, longestUntilTakenUp, watchStates } from "./state-changes.ts";
import { activitySite, componentsOf, environments, initSite, openSiteRepository, project } from "./worker-site.ts";

const childProgram = fileURLToPath(new URL("worker-child.ts", import.meta.url));
const ann: Actor = { id: "u1", name: "Ann", address: null };
/** Short, so that a moment does not take half a minute; the code is the same. */
const leaseMs = 2000;
const mostSteps = 45;

export interface KilledMoment {
  readonly moment: number;
  /** At which of its steps the worker killed itself; undefined if it never came so far. */
  readonly step: number | undefined;
  readonly activities: number;
  /** From the kill until the last of what the worker had was taken up; undefined if it had nothing. */
  readonly takenUpMs: number | undefined;
  readonly problems: readonly string[];
}

export interface KillWorkersOptions {
  readonly folder: string;
  readonly place: CatalogPlace;
  readonly seed: number;
  readonly moments: number;
  /** Besides the one that is killed; with the catalog in a file there can be none. */
  readonly survivors: number;
  /**
   * How long after the end of a dead worker's lease its activity may lie about: until another looks, on SQLite until the
   * next process has started.
   */
  readonly slackMs: number;
  /** Runs SQL on the catalog as another program would, and returns the rows' first columns. */
  readonly sql: (text: string) => readonly string[];
  readonly onMoment?: (moment: KilledMoment) => void;
  readonly signal?: AbortSignal;
}

/**
 * Has workers back up, restore and delete while one of them is killed at a seeded moment, again and again, and looks at
 * everything after each.
 */
export async function killWorkers(options: KillWorkersOptions): Promise<readonly KilledMoment[]> {
  await initSite(options.folder, options.place);
  options.sql(watchStates["url" in options.place ? "postgresql" : "sqlite"]);
  // As two API servers would.
  const [catalog, other] = (await Promise.all(
    [1, 2].map(() => openCatalog(options.place, { clock: systemClock })),
  )) as [OpenCatalog, OpenCatalog];
  const run = new KillRun(options, [catalog, other]);
  try {
    return await run.run();
  } finally {
    await run.stop();
    await Promise.all([catalog.close(), other.close()]);
  }
}

class KillRun {
  readonly #options: KillWorkersOptions;
  readonly #catalogs: readonly [OpenCatalog, OpenCatalog];
  readonly #random: Random;
  readonly #children = new Set<ChildProcess>();
  /** What each environment must hold, and each backup holds. */
  readonly #data = new Map<EnvironmentId, string>();
  readonly #backups = new Map<string, { readonly environment: EnvironmentId; readonly data: string }>();

  constructor(options: KillWorkersOptions, catalogs: readonly [OpenCatalog, OpenCatalog]) {
    this.#options = options;
    this.#catalogs = catalogs;
    this.#random = randomFrom(options.seed);
  }

  async run(): Promise<readonly KilledMoment[]> {
    for (let n = 0; n < this.#options.survivors; n += 1) await this.#start(0);
    const moments: KilledMoment[] = [];
    for (let n = 1; n <= this.#options.moments && this.#options.signal?.aborted !== true; n += 1) {
      const moment = await this.#moment(n);
      moments.push(moment);
      this.#options.onMoment?.(moment);
    }
    return moments;
  }

  async stop(): Promise<void> {
    await Promise.all(
      [...this.#children].map(async (child) => {
        child.kill("SIGKILL");
        if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
      }),
    );
  }

  async #moment(moment: number): Promise<KilledMoment> {
    const step = 1 + Math.floor(this.#random() * mostSteps);
    for (const environment of environments) this.#change(environment, `${environment} at ${moment}`);
    const victim = await this.#start(step);
    const killed = killedAt(victim);
    const asked: Activity[] = [];
    for (const [n, request] of this.#requests().entries()) {
      const { activity } = await (this.#catalogs[n % 2] as OpenCatalog).activities.create(request, ann);
      asked.push(activity);
    }
    const first = await Promise.race([killed, this.#allEnded(asked).then(() => undefined)]);
    if (this.#options.survivors === 0 && first !== undefined) await this.#start(0);
    const ended = await this.#allEnded(asked);
    const problems = ended.flatMap(({ activity, problem }) =>
      problem === undefined ? [] : [`${activity.type} ${activity.id}: ${problem}`],
    );
    problems.push(...(await this.#look()));
    const takenUpMs = first === undefined ? undefined : this.#takenUp(first);
    if (takenUpMs !== undefined && takenUpMs > leaseMs + this.#options.slackMs)
      problems.push(`taken up after ${takenUpMs} ms only`);
    await this.#stopAllBut(this.#options.survivors);
    return {
      moment,
      step: first === undefined ? undefined : step,
      activities: asked.length,
      takenUpMs,
      problems,
    };
  }

  #change(environment: EnvironmentId, text: string): void {
    for (const component of componentsOf(this.#options.folder, environment)) component.data = text;
    this.#data.set(environment, text);
  }

  /** In the order in which they are done in each environment, with what must come out of them. */
  #requests(): NewActivity[] {
    const requests: NewActivity[] = [];
    for (const environment of environments) {
      const site = activitySite(environment);
      const backup = backupActivity(site, ann, { safe: this.#random() < 0.5 });
      requests.push(backup);
      this.#backups.set(nameOf(backup), { environment, data: this.#data.get(environment) ?? "" });
      const own = [...this.#backups].filter(([, one]) => one.environment === environment);
      const [name, { data }] = own[Math.floor(this.#random() * own.length)] as (typeof own)[number];
      const draw = this.#random();
      if (draw < 0.6) {
        requests.push(restoreActivity(site, ann, { backup: name as BackupId, source: environment, restoreCode: true }));
        this.#data.set(environment, data);
      } else if (own.length > 2) {
        requests.push(backupDeleteActivity(site, ann, name as BackupId));
        this.#backups.delete(name);
      }
    }
    return requests;
  }

  async #start(killAt: number): Promise<ChildProcess> {
    const { folder, place } = this.#options;
    const child = spawn(
      process.execPath,
      [childProgram, folder, JSON.stringify(place), String(killAt), String(leaseMs)],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    this.#children.add(child);
    child.once("exit", () => this.#children.delete(child));
    await once(child.stdout, "data");
    return child;
  }

  /** The oldest stay. */
  async #stopAllBut(count: number): Promise<void> {
    for (const child of [...this.#children].slice(count)) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill("SIGTERM");
      await once(child, "exit");
    }
  }

  async #allEnded(
    asked: readonly Activity[],
  ): Promise<{ readonly activity: Activity; readonly problem: string | undefined }[]> {
    const [catalog] = this.#catalogs;
    const found = Promise.withResolvers<Activity[]>();
    const look = async (): Promise<void> => {
      const now = await Promise.all(asked.map(({ id }) => catalog.activities.get(project, id)));
      const known = now.filter((one) => one !== undefined);
      if (known.length === asked.length && known.every(hasEnded)) found.resolve(known);
    };
    const leave = catalog.activities.watch(() => void look().catch(found.reject));
    try {
      await look();
      const all = await found.promise;
      return all.map((activity) => ({
        activity,
        problem:
          activity.result === "success"
            ? undefined
            : `${String(activity.outcome)}: ${JSON.stringify(activity.failure)}`,
      }));
    } finally {
      leave();
    }
  }

  /** From the kill until the last of what the victim had was claimed again; it is claimed in vain, too, where that is busy. */
  #takenUp(killedAtMs: number): number | undefined {
    const [text = ""] = this.#options.sql(longestUntilTakenUp(killedAtMs));
    return text === "" ? undefined : Number(text);
  }

  /** What is not as it must be once everything has ended. */
  async #look(): Promise<string[]> {
    const { folder } = this.#options;
    const problems = this.#options.sql(endedWrongly).map((id) => `${id} did not end exactly once`);
    for (const environment of environments) {
      const expected = this.#data.get(environment);
      for (const component of componentsOf(folder, environment)) {
        if (component.data !== expected) {
          problems.push(`${environment} ${component.id} is "${component.data}" instead of "${expected}"`);
        }
      }
      const files = readdirSync(join(folder, "data", environment))
        .toSorted()
        .join();
      if (files !== "a,b,c") problems.push(`${environment} has the files ${files}`);
    }
    const left = readdirSync(join(folder, "state/operations"));
    if (left.length > 0) problems.push(`journals are left: ${left.join()}`);
    const rows = await this.#catalogs[0].list(project);
    const repository = await openSiteRepository(folder);
    try {
      const snapshots = await repository.snapshots();
      if (lines(rows.map(({ snapshot }) => snapshot)) !== lines(snapshots.map(({ id }) => id))) {
        problems.push("the catalog's snapshots are not the repository's");
      }
    } finally {
      await repository.close();
    }
    if (lines(rows.map(({ id }) => id)) !== lines([...this.#backups.keys()])) {
      problems.push("the catalog's backups are not those that were made and not deleted");
    }
    if (rows.some(({ status }) => status !== "CREATED")) problems.push("a backup is half deleted");
    return problems;
  }
}

const lines = (names: readonly string[]): string => names.toSorted().join("\n");

function nameOf(request: NewActivity): string {
  const name = request.payload["backup_name"];
  if (typeof name !== "string") throw new TypeError("a backup has a name");
  return name;
}

/** When the child killed itself, by its own clock; never resolves if it does not. */
async function killedAt(child: ChildProcess): Promise<number> {
  const killing = Promise.withResolvers<number>();
  let text = "";
  child.stdout?.on("data", (chunk) => {
    text += String(chunk);
    const found = /killing (\d+)\n/.exec(text);
    if (found !== null) killing.resolve(Number(found[1]));
  });
  const at = await killing.promise;
  if (child.signalCode === null) await once(child, "exit");
  return at;
}
