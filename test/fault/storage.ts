// Tries every fault of the storage at every call of every operation on a repository: node test/fault/storage.ts
// Prints a line of JSON for each operation and fault. Exit code 1 if anything was not as it must be.
import { callFaults } from "../../src/storage/index.ts";
import { makeStart, operations, type Trial, tryEachCall } from "./storage/each-call.ts";

const start = await makeStart();
let failed = false;
for (const operation of operations) {
  for (const fault of callFaults) {
    const trials: Trial[] = [];
    const options = { faultOf: () => fault, restic: (n: number) => n % 2 === 0 };
    for await (const trial of tryEachCall(start, operation, options)) trials.push(trial);
    const bad = trials.filter(({ problems }) => problems.length > 0);
    if (bad.length > 0) failed = true;
    const count = (outcome: Trial["outcome"]): number => trials.filter((trial) => trial.outcome === outcome).length;
    const counts = { calls: trials.length, done: count("done"), failed: count("failed"), killed: count("killed") };
    process.stdout.write(`${JSON.stringify({ operation: operation.name, fault, ...counts, bad })}\n`);
  }
}
process.exitCode = failed ? 1 : 0;
