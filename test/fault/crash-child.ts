// A process that backs up or restores three file components and kills itself at the n-th step of a component.
// Arguments: folder, "backup" or "restore", n. Prints "done" if it was not killed.
import { join } from "node:path";
import { createBackup, restoreBackup } from "../../src/engine/index.ts";
import { openCrashTest } from "./crash-environment.ts";

const [folder = "", operation, step] = process.argv.slice(2);
let steps = 0;
const test = await openCrashTest(folder, () => {
  steps += 1;
  if (steps === Number(step)) process.kill(process.pid, "SIGKILL");
});
if (operation === "backup") {
  await createBackup(test.context, test.environment, { live: false });
} else {
  const [newest] = await test.catalog.list(test.environment.project);
  if (newest === undefined) throw new Error(`No backup in ${join(folder, "state")}.`);
  await restoreBackup(test.context, test.environment, { backup: newest.id });
}
await test.close();
console.log("done");
