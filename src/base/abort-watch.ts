import { throwIfAborted } from "./errors.ts";

/**
 * Asks a signal often at no cost: one that is joined of others takes a microsecond to ask. Dispose of it at the end, or
 * the signal keeps it.
 */
export class AbortWatch implements Disposable {
  readonly #signal: AbortSignal;
  readonly #onAbort = (): void => {
    this.#aborted = true;
  };
  #aborted: boolean;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    this.#aborted = signal.aborted;
    signal.addEventListener("abort", this.#onAbort, { once: true });
  }

  /** @throws HoldfastError INTERRUPTED, or the reason if it is a HoldfastError */
  check(): void {
    if (this.#aborted) throwIfAborted(this.#signal);
  }

  [Symbol.dispose](): void {
    this.#signal.removeEventListener("abort", this.#onAbort);
  }
}
