import type { Clock } from "../../base/index.ts";
import { roundMilliseconds } from "../output/machine-numbers.ts";
import type { ProgressDisplay, ProgressEvent } from "./progress-display.ts";

/** One JSON object a line: the event, with `at` as an ISO time in UTC. */
export class JsonProgress implements ProgressDisplay {
  readonly #write: (line: string) => void;
  readonly #clock: Clock;

  constructor(write: (line: string) => void, clock: Clock) {
    this.#write = write;
    this.#clock = clock;
  }

  show(event: ProgressEvent): void {
    this.#write(JSON.stringify(roundMilliseconds({ at: this.#clock.now().toISOString(), ...event })));
  }

  finish(): void {
    // Every line is whole.
  }
}
