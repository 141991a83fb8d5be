import type { GlobalOptions } from "../global-options.ts";
import type { CliHost } from "../host.ts";

const redrawEveryMs = 100;

/** One line on a terminal for work that is counted: "check  120 of 400". Nothing in a pipe. */
export class TaskProgress {
  readonly #host: CliHost;
  readonly #visible: boolean;
  readonly #title: string;
  #drawnMs = Number.NEGATIVE_INFINITY;
  #drawn = false;

  constructor(host: CliHost, options: GlobalOptions, title: string) {
    this.#host = host;
    this.#visible = host.stderr.isTTY === true && !options.quiet;
    this.#title = title;
  }

  /** `total`: undefined while nobody knows it yet; then nothing is shown. */
  show(done: number, total: number | undefined): void {
    if (total === undefined) return;
    const now = this.#host.clock.monotonicMs();
    if (!this.#visible || now - this.#drawnMs < redrawEveryMs) return;
    this.#drawnMs = now;
    this.#drawn = true;
    this.#host.stderr.write(
      `\r\u001b[2K  ${this.#title}  ${done.toLocaleString("en-US")} of ${total.toLocaleString("en-US")}`,
    );
  }

  finish(): void {
    if (this.#drawn) this.#host.stderr.write("\r\u001b[2K");
    this.#drawn = false;
  }
}
