import type { AcknowledgedOrder } from "../../examples/shop/traffic.ts";
import type { OrderJournal } from "./order-journal.ts";
import { differences, type ShopFingerprint } from "./shop-fingerprint.ts";

/** A restore that was killed, and recovered. */
export interface KilledRestore {
  /** Orders that the backup holds. */
  readonly atBackup: readonly AcknowledgedOrder[];
  /** Undefined if people ordered during the restore, so that no one state is the old one. */
  readonly old: ShopFingerprint | undefined;
  readonly backedUp: ShopFingerprint;
  readonly now: ShopFingerprint;
  /** What the journal says has to be there: all had swapped. */
  readonly isNew: boolean;
  /** Swapping had begun and was not complete. */
  readonly isHalf: boolean;
  /** When the hold began, and when the process ended, milliseconds since 1970. */
  readonly holdAtMs: number;
  readonly endedAtMs: number;
}

export interface RestoredState {
  readonly environment: "old" | "new" | "mixed";
  /** Orders acknowledged while some stores were old and some new, that are not in all of them. */
  readonly ordersHalfSwapped: number;
}

/** Whether the environment is wholly old or wholly new, as it must be; and no order is lost that must be there. */
export async function whatIsThere(
  orders: OrderJournal,
  killed: KilledRestore,
  problems: string[],
): Promise<RestoredState> {
  const state = killed.old === undefined ? await byOrders(orders, killed, problems) : byFingerprint(killed, killed.old);
  const expected = killed.isNew ? "new" : "old";
  if (state.environment !== expected) problems.push(`the environment is ${state.environment}, not ${expected}`);
  if (state.environment === "mixed" && killed.old !== undefined) {
    problems.push(`not as before: ${differences(killed.now, killed.old).join(", ")}`);
    problems.push(`not as in the backup: ${differences(killed.now, killed.backedUp).join(", ")}`);
  }
  if (killed.old !== undefined && state.environment === "new") orders.keep(killed.atBackup);
  return state;
}

function byFingerprint({ now, backedUp }: KilledRestore, old: ShopFingerprint): RestoredState {
  const isOld = differences(now, old).length === 0;
  const isNew = differences(now, backedUp).length === 0;
  return { environment: isOld ? "old" : isNew ? "new" : "mixed", ordersHalfSwapped: 0 };
}

/** Those ordered since the backup, before the hold, are all there or all gone; those after the swap are there. */
async function byOrders(orders: OrderJournal, killed: KilledRestore, problems: string[]): Promise<RestoredState> {
  const acknowledged = orders.read();
  const { faults, lost } = await orders.check();
  const gone = new Set(lost);
  const inBackup = new Set(killed.atBackup.map(({ id }) => id));
  const since = acknowledged.filter(({ id }) => !inBackup.has(id));
  const before = since.filter(({ answeredAtMs }) => answeredAtMs < killed.holdAtMs);
  const meanwhile = since.filter(({ answeredAtMs }) => answeredAtMs >= killed.holdAtMs);
  const goneBefore = before.filter(({ id }) => gone.has(id)).length;
  const environment = goneBefore === 0 ? "old" : goneBefore === before.length ? "new" : "mixed";
  const excused = new Set<string>();
  for (const order of meanwhile) {
    if (!gone.has(order.id)) continue;
    // What was answered before the signal may have been before the swap.
    if (killed.isHalf || (killed.isNew && order.sentAtMs < killed.endedAtMs)) excused.add(order.id);
  }
  for (const { id } of acknowledged) {
    const isTakenBack = environment === "new" && !inBackup.has(id) && !meanwhile.some((order) => order.id === id);
    if (gone.has(id) && !excused.has(id) && !isTakenBack) problems.push(`order ${id} was acknowledged and is lost`);
  }
  for (const { id, fault } of faults) {
    if (killed.isHalf) excused.add(id);
    else problems.push(`order ${id}: ${fault}`);
  }
  orders.allowHalf(faults.map(({ id }) => id));
  orders.keep(acknowledged.filter(({ id }) => !gone.has(id)));
  return { environment, ordersHalfSwapped: killed.isHalf ? excused.size : 0 };
}
