import { type Clock, formatDuration } from "../../base/index.ts";
import type { EngineEvent } from "../../engine/index.ts";
import { printable } from "../output/printable.ts";
import { formatMoment } from "../output/moment.ts";
import { phaseTitles, type ProgressDisplay, type ProgressEvent } from "./progress-display.ts";
import {
  amountText,
  doneRatio,
  frozenText,
  holdText,
  rateText,
  remainingText,
  storedText,
  swappedText,
} from "./progress-text.ts";

const everyMs = 10_000;

/** Whole lines for logs and pipes: start and end of each phase, and a word every ten seconds in between. */
export class PlainProgress implements ProgressDisplay {
  readonly #write: (line: string) => void;
  readonly #clock: Clock;
  #startedMs = 0;
  #reportedMs = 0;
  #last: Extract<EngineEvent, { type: "progress" }> | undefined;
  #details: string[] = [];

  constructor(write: (line: string) => void, clock: Clock) {
    this.#write = write;
    this.#clock = clock;
  }

  show(event: ProgressEvent): void {
    switch (event.type) {
      case "phase-started":
        if (this.#details.length > 0) this.#write(`freeze: ${this.#details.join(", ")}`);
        this.#startedMs = this.#clock.monotonicMs();
        this.#reportedMs = this.#startedMs;
        this.#last = undefined;
        this.#details = [];
        this.#write(`${phaseTitles[event.phase]}: started`);
        break;
      case "progress":
        this.#last = event;
        this.#reportSometimes(event);
        break;
      case "phase-ended": {
        const amount = this.#last === undefined ? "" : amountText(this.#last.files, this.#last.bytes);
        const parts = [`done in ${formatDuration(event.durationMs)}`, amount.replace("  ", ", "), ...this.#details];
        this.#write(`${phaseTitles[event.phase]}: ${parts.filter((part) => part !== "").join(", ")}`);
        this.#details = [];
        break;
      }
      case "held":
        this.#write(`hold: ${holdText(event.figures)}`);
        break;
      case "frozen":
        this.#details.push(frozenText(event));
        break;
      case "swapped":
        this.#details.push(swappedText(event));
        break;
      case "stored":
        this.#details.push(storedText(event));
        break;
      case "replaced":
        this.#write(`replaced ${event.backup} of ${formatMoment(event.createdAt)}`);
        break;
      case "recovered":
        this.#write(`recover: ${event.operation}: ${event.outcome}`);
        break;
      case "log":
        for (const line of event.message.split("\n")) this.#write(printable(line));
        break;
      case "warning":
        this.#write(
          `warning: ${event.source === undefined ? "" : `${event.source}: `}${printable(event.warning.message)}`,
        );
        break;
    }
  }

  finish(): void {
    this.#details = [];
  }

  #reportSometimes(event: Extract<EngineEvent, { type: "progress" }>): void {
    const now = this.#clock.monotonicMs();
    if (now - this.#reportedMs < everyMs) return;
    this.#reportedMs = now;
    const elapsed = now - this.#startedMs;
    const ratio = doneRatio(event);
    const parts = [
      amountText(event.files, event.bytes).replace("  ", ", "),
      ratio === undefined ? "" : `${Math.floor(ratio * 100)} %`,
      rateText(event.bytes, elapsed),
      remainingText(ratio, elapsed),
    ];
    this.#write(`${phaseTitles[event.phase]}: ${parts.filter((part) => part !== "").join(", ")}`);
  }
}
