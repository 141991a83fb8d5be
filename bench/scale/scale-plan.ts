import type { Cost } from "../engine/measured-command.ts";

export interface ScalePlan {
  /** The work's own; removed afterwards. */
  readonly folder: string;
  /** bin/holdfast.js of a build. */
  readonly program: string;
  readonly say: (text: string) => void;
  readonly files: number;
  readonly streamBytes: number;
  readonly dumpBytes: number;
  /** Repetitions of what is short. */
  readonly runs: number;
}

export function costText({ wallSeconds, cpuSeconds, peakBytes }: Cost): string {
  return `${wallSeconds.toFixed(2)} s, cpu ${cpuSeconds.toFixed(2)} s, peak ${Math.round(peakBytes / 1e6)} MB`;
}
