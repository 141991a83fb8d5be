import { setImmediate } from "node:timers/promises";

const sliceMs = 4;

/** Lets the rest of the process run now and then, for loops of many short synchronous system calls. */
export class LoopBreather {
  #last = performance.now();

  /** Whether it is time to `breathe`. Asking costs little, so that not each round of a loop becomes a promise. */
  get due(): boolean {
    return performance.now() - this.#last > sliceMs;
  }

  async breathe(): Promise<void> {
    await setImmediate();
    this.#last = performance.now();
  }
}
