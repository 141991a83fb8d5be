import type { CheckReport } from "../../examples/shop/checker.ts";
import type { BackupFigures } from "../../examples/shop/quickstart/page.ts";

export interface TakenBackup {
  readonly live: boolean;
  readonly backup: BackupFigures;
  readonly customers: { readonly requests: number; readonly failed: number; readonly longestMs: number };
  /** The machine's load average over a minute, at the end. */
  readonly load1: number;
}

export interface CheckedRestore extends Pick<
  CheckReport,
  "agrees" | "faultCount" | "lostCount" | "acknowledgedChecked" | "seeded"
> {
  readonly id: string;
  readonly durationMs: number;
}

interface Spread {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

function spread(numbers: readonly number[]): Spread {
  const sorted = numbers.toSorted((a, b) => a - b);
  const at = (index: number): number => Math.round((sorted[index] ?? 0) * 10) / 10;
  return { min: at(0), median: at(Math.floor(sorted.length / 2)), max: at(sorted.length - 1) };
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, one) => total + one, 0);

/** The figures of issue 2, "What must be seen", point 2. */
export function summarise(taken: readonly TakenBackup[], restores: readonly CheckedRestore[]) {
  const restoreOf = new Map(restores.map((restore) => [restore.id, restore]));
  const of = (live: boolean) => {
    const backups = taken.filter((one) => one.live === live);
    const checked = backups.flatMap(({ backup }) => restoreOf.get(backup.id) ?? []);
    return {
      backups: backups.length,
      durationMs: spread(backups.map(({ backup }) => backup.duration_ms)),
      skewMs: spread(backups.map(({ backup }) => backup.skew_ms)),
      customersFailed: sum(backups.map(({ customers }) => customers.failed)),
      customersLongestMs: spread(backups.map(({ customers }) => customers.longestMs)),
      restoreMs: spread(checked.map(({ durationMs }) => durationMs)),
      restoresChecked: checked.length,
      restoresThatAgree: checked.filter(({ agrees }) => agrees).length,
      ordersThatDiffer: sum(checked.map(({ faultCount }) => faultCount)),
      acknowledgedLost: sum(checked.map(({ lostCount }) => lostCount)),
      /** The seed is whole in each component of each restore. */
      seedsWhole: new Set(checked.map(({ seeded }) => JSON.stringify(seeded))).size <= 1,
    };
  };
  const holds = taken.flatMap(({ backup: { hold } }) => hold ?? []);
  const safe = {
    ...of(false),
    drainMs: spread(holds.map((hold) => hold.drain_ms)),
    heldMs: spread(holds.map((hold) => hold.held_ms)),
    drainAndHoldMs: spread(holds.map((hold) => hold.drain_ms + hold.held_ms)),
    requestsHeld: sum(holds.map((hold) => hold.requests_held)),
    requestsFailed: sum(holds.map((hold) => hold.requests_failed)),
  };
  const live = of(true);
  const allWell =
    safe.drainAndHoldMs.max < 1000 &&
    safe.requestsFailed + safe.customersFailed + live.customersFailed === 0 &&
    safe.acknowledgedLost + live.acknowledgedLost === 0 &&
    safe.restoresThatAgree === safe.backups &&
    safe.seedsWhole &&
    live.seedsWhole;
  return { allWell, safe, live };
}
