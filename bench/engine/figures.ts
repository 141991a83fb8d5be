import type { Cost } from "./measured-command.ts";

export interface Spread {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

export interface ProgramFigures {
  readonly program: string;
  readonly wallSeconds: Spread;
  readonly cpuSeconds: Spread;
  readonly peakBytes: Spread;
  /** Of the repository after the work; for backups. */
  readonly repositoryBytes?: number;
}

export interface WorkFigures {
  readonly work: string;
  readonly what: string;
  readonly caches: "warm" | "cold";
  readonly programs: readonly ProgramFigures[];
  /** restic's median time by ours: above 1 is faster than restic. */
  readonly ratio?: number;
  readonly goal: number;
}

export function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  const median = sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
  return { min: sorted[0] ?? Number.NaN, median, max: sorted.at(-1) ?? Number.NaN };
}

export function figuresOf(program: string, costs: readonly Cost[], repositoryBytes?: number): ProgramFigures {
  return {
    program,
    wallSeconds: spread(costs.map((cost) => cost.wallSeconds)),
    cpuSeconds: spread(costs.map((cost) => cost.cpuSeconds)),
    peakBytes: spread(costs.map((cost) => cost.peakBytes)),
    ...(repositoryBytes === undefined ? {} : { repositoryBytes }),
  };
}

const seconds = ({ min, median, max }: Spread): string =>
  `${median.toFixed(2)} (${min.toFixed(2)}-${max.toFixed(2)})`.padStart(22);

const megabytes = (bytes: number): string => String(Math.round(bytes / 1e6));

/** A line for each program of the work. */
export function tableLines(figures: WorkFigures): string[] {
  const ratio = figures.ratio === undefined ? "" : `, restic/ours ${figures.ratio.toFixed(2)} (goal ${figures.goal})`;
  return [
    `(${figures.work}) ${figures.what}, ${figures.caches} caches${ratio}`,
    ...figures.programs.map(
      ({ program, wallSeconds, cpuSeconds, peakBytes, repositoryBytes }) =>
        `    ${program.padEnd(9)} wall s ${seconds(wallSeconds)}   cpu s ${seconds(cpuSeconds)}   peak MB ` +
        `${megabytes(peakBytes.median).padStart(4)} (max ${megabytes(peakBytes.max)})` +
        (repositoryBytes === undefined ? "" : `   stored MB ${megabytes(repositoryBytes)}`),
    ),
  ];
}
