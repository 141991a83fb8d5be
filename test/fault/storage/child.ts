// A process that backs up into, or prunes, a repository: child.ts FOLDER write|prune SEED COUNT
// Prints "id number" for each backup once it was reported complete.
import { writeSync } from "node:fs";
import { isHoldfastError } from "../../../src/base/index.ts";
import { openRepository } from "../../../src/repository/index.ts";
import { LocalBackend } from "../../../src/storage/index.ts";
import { backUp, filesOf, password } from "./stored-backups.ts";

const [folder = "", work, seed = "0", count = "1"] = process.argv.slice(2);
const repository = await openRepository(new LocalBackend(folder), { password, workers: 1 });
writeSync(1, "open\n");
for (let round = 0; round < Number(count); round += 1) {
  try {
    if (work === "prune") {
      await repository.prune({ safetyMs: 0, maxUnused: { ratio: 0 } });
    } else {
      const number = Number(seed) + round;
      await backUp(repository, filesOf(number), ({ snapshot }) => writeSync(1, `${snapshot.id} ${number}\n`));
    }
  } catch (error) {
    // Another prune or restic may be at work: that is an answer, not a fault.
    if (!isHoldfastError(error, "REPOSITORY_LOCKED")) throw error;
  }
}
await repository.close();
