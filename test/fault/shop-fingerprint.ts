import { createHash } from "node:crypto";
import { lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import path from "node:path";
import { createConnection, type RowDataPacket } from "mysql2/promise";
import { Client } from "pg";
import { createClient } from "redis";
import type { Site } from "../../examples/shop/site.ts";

/** SHA-256 over all that a component holds, read by the services' own clients. */
export interface ShopFingerprint {
  readonly postgresql: string;
  readonly mariadb: string;
  readonly redis: string;
  readonly media: string;
  readonly code: string;
}

/** Reads everything. Nobody may write meanwhile. @throws Error if a service of the shop is not installed */
export async function shopFingerprint(site: Site): Promise<ShopFingerprint> {
  const app = path.join(site.folder, "app");
  const [postgresql, mariadb, redis] = await Promise.all([
    hashPostgresql(serviceUrl(site, "db")),
    hashMariadb(serviceUrl(site, "shipments")),
    hashRedis(serviceUrl(site, "cache")),
  ]);
  const media = path.join(app, "public/media");
  return { postgresql, mariadb, redis, media: hashTree(media), code: hashTree(app, media) };
}

/** The components that differ. */
export function differences(one: ShopFingerprint, other: ShopFingerprint): string[] {
  return (Object.keys(one) as (keyof ShopFingerprint)[]).filter((name) => one[name] !== other[name]);
}

/** Where Holdfast reaches a service of the site. */
export function serviceUrl(site: Site, name: "db" | "shipments" | "cache"): string {
  const entry = site.services.entries[name];
  if (!("url" in entry)) throw new Error(`${name} needs its server: ${site.services.found.join("; ")}`);
  return entry.url;
}

/** Tables with their rows, owners, rights and indexes. */
async function hashPostgresql(url: string): Promise<string> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    const hash = createHash("sha256");
    const tables = await client.query<{ name: string }>(
      `SELECT c.oid::regclass::text AS name, c.relacl::text, c.relowner::regrole::text, d.datacl::text,
         d.datdba::regrole::text, (SELECT string_agg(pg_get_indexdef(i.indexrelid), ';' ORDER BY i.indexrelid::regclass::text)
           FROM pg_index i WHERE i.indrelid = c.oid) AS indexes
       FROM pg_class c, pg_database d WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
         AND d.datname = current_database() ORDER BY 1`,
    );
    hash.update(JSON.stringify(tables.rows));
    for (const { name } of tables.rows) {
      const text = `coalesce(string_agg(t::text, E'\\n' ORDER BY t::text COLLATE "C"), '')`;
      const { rows } = await client.query(`SELECT md5(${text}), count(*) FROM ${name} t`);
      hash.update(JSON.stringify(rows));
    }
    return hash.digest("hex");
  } finally {
    await client.end();
  }
}

/** Tables with their definitions and rows. */
async function hashMariadb(url: string): Promise<string> {
  const connection = await createConnection({ uri: url });
  try {
    const hash = createHash("sha256");
    const [tables] = await connection.query<RowDataPacket[]>("SHOW FULL TABLES");
    for (const name of tables.map((row) => String(Object.values(row)[0])).toSorted()) {
      const [definition] = await connection.query<RowDataPacket[]>(`SHOW CREATE TABLE \`${name}\``);
      const [rows] = await connection.query<RowDataPacket[]>(`SELECT * FROM \`${name}\` ORDER BY 1`);
      hash.update(JSON.stringify([definition, rows]));
    }
    return hash.digest("hex");
  } finally {
    await connection.end();
  }
}

/** Keys of database 0 by their values, and functions. */
async function hashRedis(url: string): Promise<string> {
  const client = createClient({ url });
  client.on("error", (error: Error) => process.stderr.write(`redis: ${error.message}\n`));
  await client.connect();
  try {
    const hash = createHash("sha256");
    const keys = new Set<string>();
    for await (const found of client.scanIterator({ COUNT: 1000 })) for (const key of found) keys.add(key);
    for (const key of [...keys].toSorted()) {
      const type = await client.type(key);
      const value = type === "hash" ? sortedEntries(await client.hGetAll(key)) : await client.get(key);
      hash.update(JSON.stringify([key, type, value]));
    }
    hash.update(JSON.stringify(await client.functionList()));
    return hash.digest("hex");
  } finally {
    await client.close();
  }
}

/** Names, kinds, modes, owners, links, contents, and the files' times. */
function hashTree(root: string, except?: string): string {
  const hash = createHash("sha256");
  const visit = (folder: string): void => {
    for (const name of readdirSync(folder).toSorted()) {
      const file = path.join(folder, name);
      if (file === except) continue;
      const facts = lstatSync(file, { bigint: true });
      const common = [path.relative(root, file), facts.mode, facts.uid, facts.gid].map(String);
      if (facts.isDirectory()) {
        hash.update(JSON.stringify(common));
        visit(file);
      } else {
        const content = facts.isSymbolicLink() ? readlinkSync(file) : readFileSync(file);
        hash.update(JSON.stringify([...common, String(facts.mtimeNs), String(facts.size)]));
        hash.update(content);
      }
    }
  };
  visit(root);
  return hash.digest("hex");
}

/** An object's fields by their names. */
export function sortedEntries(fields: Readonly<Record<string, string>>): [string, string][] {
  return Object.keys(fields)
    .toSorted()
    .map((name) => [name, fields[name] ?? ""]);
}
