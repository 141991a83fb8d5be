/** Ends what takes too long: calls `end` once after `timeoutMs`, unless disposed of before; undefined sets no limit. */
export class TimeLimit implements Disposable {
  readonly #timer: NodeJS.Timeout | undefined;
  #passed = false;

  constructor(timeoutMs: number | undefined, end: () => Promise<void>) {
    if (timeoutMs === undefined) return;
    this.#timer = setTimeout(() => {
      this.#passed = true;
      void end();
    }, timeoutMs);
  }

  /** Whether `end` was called. */
  get passed(): boolean {
    return this.#passed;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}
