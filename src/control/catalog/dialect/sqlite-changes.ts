import type { DatabaseSync } from "node:sqlite";
import type { ActivityListener, ChangeSource } from "../../activities/activity-feed.ts";

const lookEveryMs = 200;

/**
 * What other connections change in an SQLite database: its data version, which costs a few microseconds to ask for. This
 * connection's own changes do not count.
 */
export function sqliteChanges(database: DatabaseSync): ChangeSource {
  let timer: NodeJS.Timeout | undefined;
  return {
    start: (emit: ActivityListener) => {
      const statement = database.prepare("PRAGMA data_version");
      let seen = statement.get()?.["data_version"];
      timer = setInterval(() => {
        const version = statement.get()?.["data_version"];
        if (version === seen) return;
        seen = version;
        emit(undefined);
      }, lookEveryMs);
      timer.unref();
    },
    stop: () => clearInterval(timer),
  };
}
