import type { PlannedKill } from "./kill-plan.ts";

/** What one kill did. */
export interface MomentReport extends PlannedKill {
  readonly moment: number;
  /** Milliseconds from the start of the process to its end. */
  readonly endedAfterMs: number;
  /** False: it had ended by itself before. */
  readonly killed: boolean;
  /** Where the journal of what was killed stood, such as "restore swap"; "none" before its begin and after its end. */
  readonly stoodAt: string;
  /** Milliseconds from the signal to the first page that the site answered. */
  readonly answeredMs: number;
  /** Programs of the killed process that still ran when the next command was started. */
  readonly orphans: readonly string[];
  /** What the next command said of recovery. */
  readonly recovered: readonly string[];
  /** Of a restore: which state the environment was in afterwards. */
  readonly environment: "old" | "new" | "mixed" | undefined;
  /** Requests that failed while a swap was half done, between the kill and the end of recovery. */
  readonly failedHalfSwapped: readonly string[];
  /** Orders acknowledged in that time that are not in all stores. */
  readonly ordersHalfSwapped: number;
  readonly requests: number;
  /** Of all requests, while killing and recovering. */
  readonly longestRequestMs: number;
  readonly recoveryMs: number;
  /** For which recovery held requests, of a restore that had begun to swap. */
  readonly recoveryHeldMs: number;
  /** Everything that is not as it must be. */
  readonly problems: readonly string[];
}

export interface KillRunReport {
  readonly moments: readonly MomentReport[];
  /** Found at the end, after the last of them. */
  readonly problems: readonly string[];
  /** Temporary files that killed writers left in the repository, which no reader sees. */
  readonly temporaries: readonly string[];
}

/** The run in figures. */
export function summarize({ moments, problems, temporaries }: KillRunReport): Record<string, unknown> {
  const killed = moments.filter((moment) => moment.killed);
  const count = (keys: readonly string[]): Record<string, number> => {
    const counts = new Map<string, number>();
    for (const key of keys.toSorted()) counts.set(key, (counts.get(key) ?? 0) + 1);
    return Object.fromEntries(counts);
  };
  const largest = (values: readonly number[]): number => Math.max(0, ...values);
  return {
    kills: killed.length,
    endedBefore: moments.length - killed.length,
    byOperation: count(killed.map(({ operation }) => operation)),
    byStep: count(killed.map(({ stoodAt }) => stoodAt)),
    nextKilledToo: killed.filter(({ killNextAtShare }) => killNextAtShare !== undefined).length,
    environments: count(killed.flatMap(({ environment }) => environment ?? [])),
    recovered: count(
      killed.flatMap(({ recovered }) => recovered).map((outcome) => outcome.replace(/\b[a-z2-7]{26}\b/, "ID")),
    ),
    longestUntilAnsweredMs: largest(killed.map(({ answeredMs }) => answeredMs)),
    requests: moments.reduce((sum, { requests }) => sum + requests, 0),
    longestRequestMs: largest(moments.map(({ longestRequestMs }) => longestRequestMs)),
    longestRecoveryHoldMs: largest(moments.map(({ recoveryHeldMs }) => recoveryHeldMs)),
    longestRecoveryCommandMs: largest(moments.map(({ recoveryMs }) => recoveryMs)),
    failedHalfSwapped: moments.reduce((sum, { failedHalfSwapped }) => sum + failedHalfSwapped.length, 0),
    ordersHalfSwapped: moments.reduce((sum, { ordersHalfSwapped }) => sum + ordersHalfSwapped, 0),
    orphans: count(killed.flatMap(({ orphans }) => orphans.map((orphan) => orphan.split(" ")[1] ?? ""))),
    momentsWithProblems: moments.filter((moment) => moment.problems.length > 0).map(({ moment }) => moment),
    problemsAtTheEnd: problems,
    temporaries,
  };
}
