import type { Writable } from "node:stream";
import type { Clock, Facts, Logger, LogLevel } from "../../base/index.ts";
import { printable } from "./printable.ts";

const levels: readonly LogLevel[] = ["debug", "info", "warn", "error"];

/** One line an entry on a stream: "warn: message (fact: value, ...)", or the same as an object of JSON, with the time if there is a clock. */
export class StreamLogger implements Logger {
  readonly #stream: Writable;
  readonly #lowest: number;
  readonly #json: boolean;
  readonly #clock: Clock | undefined;

  constructor(stream: Writable, lowest: LogLevel, options: { readonly json?: boolean; readonly clock?: Clock } = {}) {
    this.#stream = stream;
    this.#json = options.json ?? false;
    this.#clock = options.clock;
    this.#lowest = levels.indexOf(lowest);
  }

  debug(message: string, facts?: Facts): void {
    this.#write("debug", message, facts);
  }

  info(message: string, facts?: Facts): void {
    this.#write("info", message, facts);
  }

  warn(message: string, facts?: Facts): void {
    this.#write("warn", message, facts);
  }

  error(message: string, facts?: Facts): void {
    this.#write("error", message, facts);
  }

  #write(level: LogLevel, message: string, facts: Facts | undefined): void {
    if (levels.indexOf(level) < this.#lowest) return;
    if (this.#json) {
      const time = this.#clock === undefined ? {} : { time: this.#clock.now().toISOString() };
      this.#stream.write(`${JSON.stringify({ type: "log", ...time, level, message, facts: facts ?? {} })}\n`);
      return;
    }
    const shown = Object.entries(facts ?? {}).map(([name, value]) => `${name}: ${String(value)}`);
    this.#stream.write(
      `${level}: ${printable(message)}${shown.length === 0 ? "" : ` (${printable(shown.join(", "))})`}\n`,
    );
  }
}
