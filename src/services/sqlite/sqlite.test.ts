import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { SourceId } from "../../base/index.ts";
import { type ComponentUnderTest, describeComponent } from "../../component/conformance/index.ts";
import { SqliteSource } from "./sqlite-source.ts";
import { SqliteTarget } from "./sqlite-target.ts";

const id = "service:flags" as SourceId;

describeComponent("SQLite in WAL mode", () => databaseUnderTest("wal"));
describeComponent("SQLite with a rollback journal", () => databaseUnderTest("delete"));
describeComponent("SQLite whose file is lost", () => databaseUnderTest("wal", "lost"));
describeComponent("SQLite whose file is overwritten", () => databaseUnderTest("wal", "overwritten"));

async function databaseUnderTest(mode: string, destroyed?: "lost" | "overwritten"): Promise<ComponentUnderTest> {
  const folder = await mkdtemp(join(tmpdir(), "holdfast-sqlite-"));
  const path = join(folder, "flags.db");
  const config = { type: "sqlite" as const, path };
  // An application that keeps its connection; where the file is to be lost, one that opens it each time.
  let kept: DatabaseSync | undefined;
  const withDatabase = <T>(work: (database: DatabaseSync) => T): T => {
    const database = kept ?? new DatabaseSync(path, { timeout: 10_000 });
    if (destroyed === undefined) kept = database;
    try {
      return work(database);
    } finally {
      if (kept === undefined) database.close();
    }
  };
  withDatabase((database) => {
    database.exec(`PRAGMA journal_mode = ${mode}; PRAGMA application_id = 77; PRAGMA user_version = 3`);
    database.exec(
      "CREATE TABLE flags (name TEXT PRIMARY KEY, value) WITHOUT ROWID; CREATE TABLE load (n INTEGER PRIMARY KEY)",
    );
    database.exec("CREATE VIRTUAL TABLE words USING fts5(word); CREATE INDEX by_value ON flags (value)");
  });
  return {
    atomicFreeze: true,
    source: () => new SqliteSource(id, config),
    target: () => new SqliteTarget(id, config),
    mutate: async (n) => {
      withDatabase((database) => {
        database.exec("BEGIN IMMEDIATE");
        database.prepare("INSERT OR REPLACE INTO flags VALUES ('mutation', ?), ('f' || ?, randomblob(2000))").run(n, n);
        database.prepare("INSERT INTO words VALUES ('word ' || ?)").run(n);
        database.prepare("DELETE FROM flags WHERE name = 'f' || (? - 1)").run(n);
        database.exec("COMMIT");
      });
    },
    liveState: async () => {
      if (destroyed === "overwritten" && (await readFile(path, "latin1")).startsWith("this is not")) return "destroyed";
      return withDatabase((database) =>
        JSON.stringify([
          database.prepare("SELECT name, hex(value) AS value FROM flags ORDER BY name").all(),
          database.prepare("SELECT word FROM words ORDER BY rowid").all(),
          database.prepare("PRAGMA user_version").all(),
          database.prepare("PRAGMA integrity_check").all(),
        ]),
      );
    },
    startLoad: async () => {
      const writer = new DatabaseSync(path, { timeout: 0 });
      const insert = writer.prepare("INSERT INTO load VALUES (?)");
      const stop = new AbortController();
      let acknowledged = 0;
      const run = (async (): Promise<void> => {
        while (!stop.signal.aborted) {
          // Waiting inside SQLite would stop the process, and with it the source that has the lock.
          try {
            insert.run(acknowledged + 1);
            acknowledged += 1;
          } catch (error) {
            if (!String(error).includes("locked")) throw error;
          }
          await new Promise((resolve) => setImmediate(resolve));
        }
      })();
      return {
        acknowledged: () => acknowledged,
        stop: async () => {
          stop.abort();
          await run;
          writer.close();
        },
      };
    },
    loadRecords: async () =>
      withDatabase((database) =>
        database
          .prepare("SELECT n FROM load ORDER BY n")
          .all()
          .map((row) => Number(row["n"])),
      ),
    destroyData: async () => {
      if (destroyed === undefined) withDatabase((database) => database.exec("DELETE FROM flags; DROP TABLE load"));
      else if (destroyed === "lost") await rm(path);
      else await writeFile(path, "this is not a database".repeat(1000));
      // `liveState` still works.
      if (destroyed === "lost") {
        withDatabase((database) => database.exec("CREATE TABLE flags (name, value); CREATE TABLE words (word)"));
      }
    },
    leftovers: async () => (await readdir(folder)).filter((name) => !/^flags\.db(-wal|-shm)?$/.test(name)),
    dispose: async () => {
      kept?.close();
      await rm(folder, { recursive: true });
    },
  };
}
