import type { Clock, SourceId } from "../base/index.ts";
import type { ProgressDelta } from "../component/index.ts";
import type { EngineEvent, Phase } from "./events.ts";

const reportEveryMs = 100;

/** Adds up what the components of one phase report and passes totals on, ten times a second at the most. */
export class PhaseProgress {
  readonly #phase: Phase;
  readonly #clock: Clock;
  readonly #onEvent: (event: EngineEvent) => void;
  readonly #startedMs: number;
  readonly #totals = { files: 0, bytes: 0, expectedFiles: 0, expectedBytes: 0 };
  #reportedMs = Number.NEGATIVE_INFINITY;
  #ended = false;

  constructor(phase: Phase, clock: Clock, onEvent: (event: EngineEvent) => void) {
    this.#phase = phase;
    this.#clock = clock;
    this.#onEvent = onEvent;
    this.#startedMs = clock.monotonicMs();
    onEvent({ type: "phase-started", phase });
  }

  add(source: SourceId | undefined, delta: ProgressDelta): void {
    this.#totals.files += delta.files ?? 0;
    this.#totals.bytes += delta.bytes ?? 0;
    this.#totals.expectedFiles += delta.expectedFiles ?? 0;
    this.#totals.expectedBytes += delta.expectedBytes ?? 0;
    const now = this.#clock.monotonicMs();
    if (this.#ended || now - this.#reportedMs < reportEveryMs) return;
    this.#reportedMs = now;
    this.#report(source);
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#report(undefined);
    this.#onEvent({
      type: "phase-ended",
      phase: this.#phase,
      durationMs: this.#clock.monotonicMs() - this.#startedMs,
    });
  }

  #report(source: SourceId | undefined): void {
    const { files, bytes, expectedFiles, expectedBytes } = this.#totals;
    this.#onEvent({
      type: "progress",
      phase: this.#phase,
      source,
      files,
      bytes,
      // What was announced may be less than what came, where something grew meanwhile.
      expectedFiles: expectedFiles > 0 ? Math.max(expectedFiles, files) : undefined,
      expectedBytes: expectedBytes > 0 ? Math.max(expectedBytes, bytes) : undefined,
    });
  }
}
