import { type Clock, formatDuration } from "../../base/index.ts";
import type { EngineEvent } from "../../engine/index.ts";
import { printable } from "../output/printable.ts";
import { displayWidth } from "../output/table.ts";
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
import { wrapLine } from "./wrap-line.ts";

const barWidth = 24;
const redrawEveryMs = 100;

export interface TerminalProgressOptions {
  readonly write: (text: string) => void;
  /** Asked at each drawing, since a window can change. */
  readonly width: () => number;
  readonly colour: boolean;
  readonly clock: Clock;
}

/** A line for each phase, redrawn in place while it runs, as in `reference/config-and-cli.md`. */
export class TerminalProgress implements ProgressDisplay {
  readonly #options: TerminalProgressOptions;
  #startedMs = 0;
  #drawnMs = Number.NEGATIVE_INFINITY;
  #last: Extract<EngineEvent, { type: "progress" }> | undefined;
  #held: string | undefined;
  #details: string[] = [];
  #drawn = false;
  #running = false;

  constructor(options: TerminalProgressOptions) {
    this.#options = options;
  }

  show(event: ProgressEvent): void {
    switch (event.type) {
      case "phase-started":
        // A live backup freezes between two phases.
        if (this.#details.length > 0) this.#line(`  ${"freeze".padEnd(8)} ${this.#details.join(" · ")}`);
        this.#startedMs = this.#options.clock.monotonicMs();
        this.#drawnMs = Number.NEGATIVE_INFINITY;
        this.#last = undefined;
        this.#held = undefined;
        this.#details = [];
        this.#running = true;
        this.#redraw(this.#phaseLine(event.phase, undefined, ""));
        break;
      case "progress":
        this.#last = event;
        this.#showProgress(event);
        break;
      case "phase-ended":
        this.#running = false;
        this.#endPhase(event);
        break;
      case "held":
        this.#held = holdText(event.figures);
        // Released after the phase's own end: then it has its own line.
        if (!this.#running) this.#line(this.#phaseLine("hold", undefined, this.#held));
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
        this.#line(`           replaced ${event.backup} of ${formatMoment(event.createdAt)}`);
        break;
      case "recovered":
        this.#line(`  ${phaseTitles.recover.padEnd(8)} ${event.operation}: ${event.outcome}`);
        break;
      case "log":
        for (const line of event.message.split("\n")) this.#line(`  ${printable(line)}`);
        break;
      case "warning":
        this.#line(
          `  ${this.#coloured("33", "warning ")} ${event.source === undefined ? "" : `${event.source}: `}${printable(event.warning.message)}`,
        );
        break;
    }
  }

  finish(): void {
    this.#erase();
    this.#details = [];
  }

  #showProgress(event: Extract<EngineEvent, { type: "progress" }>): void {
    const now = this.#options.clock.monotonicMs();
    if (now - this.#drawnMs < redrawEveryMs) return;
    this.#drawnMs = now;
    const elapsed = now - this.#startedMs;
    const ratio = doneRatio(event);
    const parts = [amountText(event.files, event.bytes), rateText(event.bytes, elapsed), remainingText(ratio, elapsed)];
    this.#redraw(this.#phaseLine(event.phase, ratio ?? 0, parts.filter((part) => part !== "").join("  ")));
  }

  #endPhase(event: Extract<EngineEvent, { type: "phase-ended" }>): void {
    const details = this.#details.join(" · ");
    const { phase } = event;
    if (phase === "hold") {
      this.#line(this.#phaseLine(phase, undefined, this.#held ?? `done in ${formatDuration(event.durationMs)}`));
      if (details !== "") this.#line(`${" ".repeat(11)}${details}`);
    } else if (phase === "settle") {
      this.#line(this.#phaseLine(phase, undefined, "old data removed"));
    } else {
      const amount = amountText(this.#last?.files ?? 0, this.#last?.bytes ?? 0);
      const rate = rateText(this.#last?.bytes ?? 0, event.durationMs);
      const text = details === "" ? [amount, rate].filter((part) => part !== "").join("  ") : details;
      this.#line(this.#phaseLine(phase, 1, text === "" ? `done in ${formatDuration(event.durationMs)}` : text));
    }
    this.#details = [];
  }

  #phaseLine(phase: keyof typeof phaseTitles, ratio: number | undefined, text: string): string {
    const title = `  ${phaseTitles[phase].padEnd(8)} `;
    if (ratio === undefined) return title + text;
    const filled = Math.round(ratio * barWidth);
    const bar = this.#coloured("32", "━".repeat(filled)) + this.#coloured("2", "─".repeat(barWidth - filled));
    return `${title}${bar}  ${text}`;
  }

  #coloured(code: string, text: string): string {
    return this.#options.colour && text !== "" ? `\u001b[${code}m${text}\u001b[0m` : text;
  }

  /** The running line is kept within the window: a wrapped line cannot be redrawn. */
  #redraw(text: string): void {
    this.#options.write(`\r\u001b[2K${cutToWidth(text, Math.max(20, this.#options.width() - 1))}`);
    this.#drawn = true;
  }

  #erase(): void {
    if (this.#drawn) this.#options.write("\r\u001b[2K");
    this.#drawn = false;
  }

  #line(text: string): void {
    this.#erase();
    this.#options.write(`${wrapLine(text, this.#options.width())}\n`);
  }
}

/** Cuts to so many columns; escape sequences take none and stay whole. */
export function cutToWidth(text: string, width: number): string {
  let used = 0;
  let cut = "";
  let inEscape = false;
  for (const character of text) {
    if (character === "\u001b") inEscape = true;
    if (inEscape) {
      cut += character;
      inEscape = character !== "m";
      continue;
    }
    used += displayWidth(character);
    if (used <= width) cut += character;
  }
  return cut;
}
