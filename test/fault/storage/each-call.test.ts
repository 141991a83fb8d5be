import { expect, it } from "vitest";
import type { CallFault } from "../../../src/storage/index.ts";
import { makeStart, operations, type Trial, tryEachCall } from "./each-call.ts";

const inTurn: readonly CallFault[] = ["kill-before", "kill-after", "refuse", "lose-answer", "cut"];

// One fault at each call here, the next at the next; `npm run test:fault` tries every fault at every call.
it.each(operations)(
  "a fault at any call of a $name leaves a sound repository",
  { timeout: 300_000 },
  async (operation) => {
    const trials: Trial[] = [];
    const faultOf = (n: number): CallFault => inTurn[n % inTurn.length] as CallFault;
    const restic = (n: number): boolean => n % 6 === 5;
    const options = { faultOf, restic, step: operation.shortStep ?? 1 };
    for await (const trial of tryEachCall(await makeStart(), operation, options)) trials.push(trial);
    expect(trials.filter(({ problems }) => problems.length > 0)).toEqual([]);
    expect(trials.length).toBeGreaterThan(6);
    expect(new Set(trials.map(({ outcome }) => outcome))).toContain("killed");
  },
);
