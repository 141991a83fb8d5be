import { throwIfAborted } from "../../base/index.ts";

/** Bounds how much of something is in use at once. First come, first served. */
export class Semaphore {
  readonly #capacity: number;
  #free: number;
  readonly #waiting: { readonly weight: number; readonly enter: () => void }[] = [];

  constructor(capacity: number) {
    this.#capacity = capacity;
    this.#free = capacity;
  }

  /** Waits for room. More than the capacity counts as all of it. Returns what gives the room back, once. */
  async acquire(weight = 1, signal?: AbortSignal): Promise<() => void> {
    throwIfAborted(signal);
    const share = Math.min(weight, this.#capacity);
    if (this.#waiting.length > 0 || this.#free < share) {
      await new Promise<void>((resolve) => {
        this.#waiting.push({ weight: share, enter: resolve });
      });
    } else {
      this.#free -= share;
    }
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#free += share;
      this.#admit();
    };
  }

  #admit(): void {
    for (let next = this.#waiting[0]; next !== undefined && next.weight <= this.#free; next = this.#waiting[0]) {
      this.#waiting.shift();
      this.#free -= next.weight;
      next.enter();
    }
  }
}
