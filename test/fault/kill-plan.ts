/** A source of numbers from 0 to 1 that a seed decides. */
export type Random = () => number;

/** One kill, as the seed decides it. Times are shares, since how long a command takes depends on the machine. */
export interface PlannedKill {
  readonly operation: "safe backup" | "live backup" | "restore";
  /**
   * "start": before its first phase. "run": from the event that begins that to the end. "hold": from the event that begins
   * the hold, over its usual time and a half.
   */
  readonly draw: "start" | "run" | "hold";
  /** 0 to 1 of that time. */
  readonly share: number;
  /** Whether customers order during a restore. They always do during a backup. */
  readonly orders: boolean;
  /** The command that recovers. */
  readonly next: "safe backup" | "live backup";
  /** If the command that recovers is killed, too: after which share of its usual time. */
  readonly killNextAtShare: number | undefined;
}

/** mulberry32: small, and the same everywhere. */
export function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Draws the next kill. Always the same count of numbers, so that one kill does not depend on how others went. */
export function planKill(random: Random): PlannedKill {
  const [kind, draw, share, orders, next, again, againShare] = Array.from({ length: 7 }, random) as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const inHold = draw < 0.5;
  // A live backup has no hold to be killed in.
  const backup = !inHold && kind < 0.2 ? "live backup" : "safe backup";
  return {
    operation: kind < 0.5 ? backup : "restore",
    draw: inHold ? "hold" : draw < 0.92 ? "run" : "start",
    share,
    orders: orders < 0.3,
    next: next < 0.5 ? "safe backup" : "live backup",
    killNextAtShare: again < 0.15 ? againShare : undefined,
  };
}
