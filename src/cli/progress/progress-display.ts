import type { EngineEvent, Phase } from "../../engine/index.ts";

/** An event of the engine here, or a message of the log of an activity that a server works on. */
export type ProgressEvent = EngineEvent | { readonly type: "log"; readonly message: string };

/** Shows what an operation does while it runs. Takes events as they come; never throws. */
export interface ProgressDisplay {
  show(event: ProgressEvent): void;
  /** Before something else is written to the same stream, and at the end: leaves no half-drawn line. */
  finish(): void;
}

/** For --quiet. */
export const silentProgress: ProgressDisplay = { show: () => undefined, finish: () => undefined };

/** Words for what a phase is doing, for lines that are read alone. */
export const phaseTitles: Readonly<Record<Phase, string>> = {
  recover: "recover",
  prepare: "prepare",
  hold: "hold",
  store: "store",
  stage: "stage",
  settle: "settle",
};
