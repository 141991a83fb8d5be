import { isHoldfastError, type Logger, messageOf } from "../../base/index.ts";
import type { EngineEvent } from "../../engine/index.ts";
import type { ActivityQueue, Claim, ClaimReport } from "../activities/activity-queue.ts";
import { eventText } from "./event-text.ts";
import { ProgressPercent } from "./progress-percent.ts";

const writeEveryMs = 1000;

/** Gathers what an activity tells and writes it to the catalog, once a second at the most. */
export class ActivityReporter {
  readonly #queue: ActivityQueue;
  readonly #claim: Claim;
  readonly #log: Logger;
  readonly #percent = new ProgressPercent();
  readonly #timer: NodeJS.Timeout;
  #messages: string[] = [];
  #timings: Record<string, number> = {};
  #writtenPercent = 0;
  #writing: Promise<void> | undefined;

  constructor(queue: ActivityQueue, claim: Claim, log: Logger) {
    this.#queue = queue;
    this.#claim = claim;
    this.#log = log;
    this.#writtenPercent = claim.activity.percent;
    this.#timer = setInterval(() => {
      this.#writing ??= this.#write().finally(() => {
        this.#writing = undefined;
      });
    }, writeEveryMs);
  }

  show(event: EngineEvent): void {
    this.#percent.show(event);
    if (event.type === "phase-ended") this.#timings[event.phase] = event.durationMs / 1000;
    const text = eventText(event);
    if (text !== undefined) this.say(text);
  }

  /** A message for the log, without a line's end. */
  say(message: string): void {
    this.#messages.push(`${message}\n`);
  }

  /** Writes nothing more by itself; returns what has not been written, for the activity's end to write. */
  async finish(): Promise<ClaimReport> {
    clearInterval(this.#timer);
    await this.#writing;
    return this.#take() ?? {};
  }

  #take(): ClaimReport | undefined {
    const { percent } = this.#percent;
    const messages = this.#messages;
    const timings = this.#timings;
    if (messages.length === 0 && percent <= this.#writtenPercent && Object.keys(timings).length === 0) return undefined;
    this.#messages = [];
    this.#timings = {};
    this.#writtenPercent = Math.max(percent, this.#writtenPercent);
    return { messages, timings, percent: this.#writtenPercent };
  }

  async #write(): Promise<void> {
    const report = this.#take();
    if (report === undefined) return;
    try {
      await this.#queue.report(this.#claim, report);
    } catch (error) {
      // The lease finds that out for itself, and stops the activity.
      if (isHoldfastError(error, "LEASE_LOST")) return;
      this.#log.warn("An activity's progress could not be written", { reason: messageOf(error) });
      this.#messages = [...(report.messages ?? []), ...this.#messages];
      this.#timings = { ...report.timings, ...this.#timings };
    }
  }
}
