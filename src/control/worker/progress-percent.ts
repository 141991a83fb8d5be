import type { EngineEvent, Phase } from "../../engine/index.ts";

/** Where in the whole each phase begins and ends, in per cent: how long they take, roughly. */
const spans: Readonly<Record<Phase, readonly [number, number]>> = {
  recover: [0, 0],
  prepare: [1, 45],
  stage: [1, 85],
  hold: [45, 50],
  store: [50, 98],
  settle: [90, 98],
};

/** How far a backup or restore is, from the engine's events; never goes back. */
export class ProgressPercent {
  #percent = 0;

  get percent(): number {
    return this.#percent;
  }

  show(event: EngineEvent): void {
    if (event.type !== "phase-started" && event.type !== "phase-ended" && event.type !== "progress") return;
    const [begin, end] = spans[event.phase];
    const ratio = event.type === "phase-started" ? 0 : event.type === "phase-ended" ? 1 : ratioOf(event);
    this.#percent = Math.max(this.#percent, Math.floor(begin + (end - begin) * ratio));
  }
}

function ratioOf(event: Extract<EngineEvent, { readonly type: "progress" }>): number {
  const { files, bytes, expectedFiles, expectedBytes } = event;
  const ratios = [
    ...(expectedBytes === undefined || expectedBytes === 0 ? [] : [bytes / expectedBytes]),
    ...(expectedFiles === undefined || expectedFiles === 0 ? [] : [files / expectedFiles]),
  ];
  return ratios.length === 0 ? 0 : Math.min(1, ...ratios);
}
