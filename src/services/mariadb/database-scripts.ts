import { HoldfastError, isHoldfastError } from "../../base/index.ts";
import { type Entry, generatedFile } from "../../component/index.ts";
import { connectionPlace, type MariadbConnection } from "./mariadb-config.ts";
import { serverErrorNumber } from "./mariadb-errors.ts";
import { permissionMissing, type ServerVersion } from "./mariadb-server.ts";
import type { MariadbSession } from "./mariadb-session.ts";
import { quoteName } from "./sql-text.ts";
import { readObjects, type StoredObject } from "./stored-object.ts";

/** @throws HoldfastError SERVICE_DATABASE_MISSING if there is no such database, or none that the user may see */
export async function useDatabase(connection: MariadbConnection, session: MariadbSession): Promise<void> {
  const place = connectionPlace(connection);
  try {
    await session.query(`USE ${quoteName(connection.database)}`);
  } catch (error) {
    // The server says the same of a database that the user may not see.
    if (serverErrorNumber(error) !== 1044) throw error;
    throw new HoldfastError(
      "SERVICE_DATABASE_MISSING",
      `MariaDB at ${place}: there is no such database, or the user ${connection.user} has no right on it.`,
      { remedy: "Create the database, correct the service's url, or grant the user its rights.", cause: error },
    );
  }
}

/** `readObjects`; @throws HoldfastError SERVICE_PERMISSION_MISSING with the GRANT that shows the text of routines */
export async function readVisibleObjects(
  connection: MariadbConnection,
  session: MariadbSession,
  server: ServerVersion,
  account: string,
): Promise<StoredObject[]> {
  try {
    return await readObjects(session, connection.database);
  } catch (error) {
    if (!isHoldfastError(error, "SERVICE_PERMISSION_MISSING") || error.facts["kind"] === undefined) throw error;
    const [right, on] = server.product === "MariaDB" ? ["SELECT", "mysql.proc"] : ["SHOW_ROUTINE", "*.*"];
    const purpose = `see the text of ${error.facts["kind"]} ${error.facts["name"]}`;
    throw permissionMissing(account, [right], on, connection, purpose);
  }
}

/** A script of a backup that is held in memory. */
export function textFile(path: string, at: Date, text: string): Entry {
  return generatedFile(path, at, async function* () {
    yield Buffer.from(text);
  });
}

/** Character set and collation of the database; the name is the user's to choose. */
export function schemaScript(database: string, characterSet: string, collation: string): string {
  return `-- Holdfast schema, format 1\nALTER DATABASE ${quoteName(database)} CHARACTER SET ${characterSet} COLLATE ${collation};\n`;
}
