import { setTimeout as delay } from "node:timers/promises";
import {
  type Clock,
  HoldfastError,
  isHoldfastError,
  type Logger,
  messageOf,
  throwIfAborted,
} from "../../base/index.ts";
import type { Claim, ClaimEnd } from "../activities/activity-queue.ts";
import type { OpenCatalog } from "../catalog/open-catalog.ts";
import { ActivityReporter } from "./activity-reporter.ts";
import { endingAfter, lostEnd, type StoppedBy } from "./claim-ending.ts";
import { Lease } from "./lease.ts";
import { performActivity, recoverActivity, statusAfter } from "./perform-activity.ts";
import type { OpenSite, WorkerHost } from "./worker-host.ts";

/** So often may a worker die over an activity before it is given up. */
const mostLosses = 5;
const writeAgainAfterMs = 1000;

export interface RunContext {
  readonly catalog: OpenCatalog;
  readonly host: WorkerHost;
  readonly clock: Clock;
  readonly log: Logger;
  readonly leaseMs: number;
}

/**
 * Does what a claimed activity asks for and records its end, or gives it back. Never throws: what goes wrong is the
 * activity's failure, or, where not even that can be written, another worker's to find out.
 * @param claimedAtMs by the monotonic clock, before the claim was made
 * @param shutdown aborted when running activities have to stop
 */
export async function runClaim(
  context: RunContext,
  claim: Claim,
  claimedAtMs: number,
  shutdown: AbortSignal,
): Promise<void> {
  await new ClaimRun(context, claim, claimedAtMs).run(shutdown);
}

class ClaimRun {
  readonly #context: RunContext;
  readonly #claim: Claim;
  readonly #lease: Lease;
  readonly #reporter: ActivityReporter;
  #recovering = false;

  constructor(context: RunContext, claim: Claim, claimedAtMs: number) {
    this.#context = context;
    this.#claim = claim;
    const { catalog, leaseMs, clock, log } = context;
    this.#lease = new Lease({ queue: catalog.queue, claim, leaseMs, clock, log }, claimedAtMs);
    this.#reporter = new ActivityReporter(catalog.queue, claim, log);
  }

  async run(shutdown: AbortSignal): Promise<void> {
    const { catalog, log } = this.#context;
    const { activity, fence } = this.#claim;
    let stoppedBy: StoppedBy;
    const onShutdown = (): void => {
      if (this.#lease.signal.aborted) return;
      stoppedBy = "shutdown";
      this.#lease.abort(new HoldfastError("INTERRUPTED", "The worker was stopped. What was begun has been undone."));
    };
    shutdown.addEventListener("abort", onShutdown);
    if (shutdown.aborted) onShutdown();
    const leave = catalog.activities.watch((changed) => {
      if (changed === undefined || (changed.id === activity.id && changed.state)) this.#lease.renew();
    });
    log.info("An activity begins", { activity: activity.id, type: activity.type, fence });
    try {
      const end = await this.#perform();
      await this.#write((report) =>
        catalog.queue.end(this.#claim, { ...report, ...end, messages: merged(report, end) }),
      );
    } catch (error) {
      if (this.#lease.signal.aborted) stoppedBy ??= "cancellation";
      await this.#afterFailure(error, stoppedBy);
    } finally {
      leave();
      shutdown.removeEventListener("abort", onShutdown);
      await this.#lease.release();
    }
  }

  async #perform(): Promise<ClaimEnd> {
    const { catalog, host } = this.#context;
    const { activity, wasBegun } = this.#claim;
    const status = statusAfter(activity.type);
    if (status !== undefined) {
      throwIfAborted(this.#lease.signal);
      await catalog.setEnvironmentStatus(activity.project, activity.environment, status);
      return done(`${activity.environment} is ${status}.`);
    }
    this.#recovering = wasBegun;
    const stored = await catalog.environmentStatus(activity.project, activity.environment, "active");
    const site = await host.open(activity.project, activity.environment, stored, {
      signal: this.#lease.lost,
      onEvent: (event) => this.#reporter.show(event),
    });
    try {
      if (wasBegun) {
        this.#reporter.say("Its worker was lost or stopped: what was begun is undone or finished.");
        // Also when nobody wants the activity any more.
        const isDone = await recoverActivity(this.#claim, site, catalog);
        this.#recovering = false;
        if (isDone) return await this.#finish(site);
        if (this.#claim.losses > mostLosses) return lostEnd(this.#claim);
      }
      const { signal } = this.#lease;
      throwIfAborted(signal);
      const { message, payload } = await performActivity(this.#claim, {
        ...site,
        context: { ...site.context, signal },
      });
      return { ...done(message), payload };
    } finally {
      await site.close();
    }
  }

  /** It has taken effect: what is left is what comes after that, if anything. */
  async #finish(site: OpenSite): Promise<ClaimEnd> {
    if (this.#claim.activity.type !== "environment.backup") return done("It had taken effect already.");
    const { message, payload } = await performActivity(this.#claim, site);
    return { ...done(message), payload };
  }

  async #afterFailure(error: unknown, stoppedBy: StoppedBy): Promise<void> {
    const { catalog, log } = this.#context;
    const { id } = this.#claim.activity;
    if (this.#lease.lost.aborted) {
      await this.#reporter.finish();
      log.warn("An activity was left to another worker", { activity: id, reason: messageOf(error) });
      return;
    }
    if (!isHoldfastError(error)) log.error("An activity met a defect", { activity: id, reason: String(error) });
    const ending = endingAfter(error, this.#claim, { stoppedBy, recovering: this.#recovering });
    if (ending.kind === "end") {
      log.info("An activity ends", { activity: id, outcome: ending.end.outcome, reason: messageOf(error) });
      await this.#write((report) =>
        catalog.queue.end(this.#claim, { ...report, ...ending.end, messages: merged(report, ending.end) }),
      );
      return;
    }
    log.info("An activity is given back", { activity: id, reason: messageOf(error) });
    await this.#write((report) =>
      catalog.queue.release(this.#claim, {
        availableAfterMs: ending.availableAfterMs,
        stays: ending.stays,
        messages: [...(report.messages ?? []), `${ending.message}\n`],
      }),
    );
  }

  /** Tries as long as the activity is this worker's: what it did must not be done again because it could not be told. */
  async #write(write: (report: Awaited<ReturnType<ActivityReporter["finish"]>>) => Promise<void>): Promise<void> {
    const report = await this.#reporter.finish();
    while (!this.#lease.lost.aborted) {
      try {
        await write(report);
        return;
      } catch (error) {
        this.#context.log.warn("What became of an activity could not be written", {
          activity: this.#claim.activity.id,
          reason: messageOf(error),
        });
        if (isHoldfastError(error, "LEASE_LOST")) return;
        await delay(writeAgainAfterMs);
      }
    }
  }
}

const done = (message: string): ClaimEnd => ({ result: "success", outcome: "done", messages: [`${message}\n`] });

const merged = (
  a: { readonly messages?: readonly string[] },
  b: { readonly messages?: readonly string[] },
): string[] => [...(a.messages ?? []), ...(b.messages ?? [])];
