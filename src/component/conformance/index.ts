// What every source and target must do, as vitest tests, and what tests of them share: a backup in memory and an
// operation's context. For tests only; the build leaves this folder out.
export {
  type BackupSteps,
  digests,
  makeTestContext,
  type MemoryBackup,
  restorable,
  storeEntries,
  takeBackup,
  type TestContext,
  type TestContextOptions,
} from "./backup-in-memory.ts";
export type { ComponentFactory, ComponentUnderTest, Load } from "./component-under-test.ts";
export { describeComponent } from "./conformance.ts";
