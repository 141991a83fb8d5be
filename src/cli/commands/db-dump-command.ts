import { resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import type { Command } from "commander";
import { readTar } from "../../archive/index.ts";
import { formatBytes, HoldfastError } from "../../base/index.ts";
import type { Backup, BackupComponent } from "../../engine/index.ts";
import { planeEnvironment } from "../choose.ts";
import { type Invocation, say } from "../offline/session.ts";
import { openControlPlane } from "../open-control-plane.ts";
import { formatMomentAndAge } from "../output/moment.ts";
import { fileExists, refuseTerminal, writeToFile, writeToStream } from "../output/output-file.ts";
import { TaskProgress } from "../progress/task-progress.ts";
import { confirm } from "../prompt.ts";
import type { RunCommand } from "../run-command.ts";
import { type SqlScript, sqlScript } from "./sql-script.ts";

interface DumpOptions {
  readonly relationship?: string;
  readonly file?: string;
  readonly directory?: string;
  readonly gzip?: true;
  readonly timestamp?: true;
  readonly stdout?: true;
  readonly backup?: string;
}

export function registerDbDump(program: Command, run: RunCommand): void {
  program
    .command("db:dump")
    .description("Write a database out of a backup, by default the newest, as SQL that psql or mysql loads")
    .option("-r, --relationship <service>", "the database's service; needed if there are several")
    .option("-f, --file <name>", "the file to write (default: PROJECT--ENVIRONMENT--SERVICE--dump.sql)")
    .option("-d, --directory <folder>", "the folder of the file (default: this one)")
    .option("-z, --gzip", "compress it")
    .option("-t, --timestamp", "put the backup's moment into the file's name")
    .option("-o, --stdout", "write to standard output instead of a file")
    .option("--backup <id>", "the backup, or latest")
    .action(run((invocation, options: DumpOptions) => dump(invocation, options)));
}

async function dump(invocation: Invocation, options: DumpOptions): Promise<number> {
  const { host } = invocation;
  const toStdout = options.stdout === true;
  if (toStdout && (options.file ?? options.directory ?? options.timestamp) !== undefined) {
    throw new HoldfastError("INPUT_INVALID", "--stdout leaves no use for --file, --directory and --timestamp.");
  }
  if (options.file !== undefined && options.timestamp) {
    throw new HoldfastError("INPUT_INVALID", "--file leaves no use for --timestamp.");
  }
  if (toStdout && options.gzip) refuseTerminal(host, "A compressed dump", "--file");
  await using plane = await openControlPlane(invocation);
  const environment = await planeEnvironment(plane, invocation.options);
  const backup = await plane.findBackup(environment.id, options.backup);
  const { component, script } = chooseDatabase(backup, options.relationship);
  const file = resolve(host.cwd, options.directory ?? "", options.file ?? fileName(backup, component, options));
  if (!toStdout && (await fileExists(file))) {
    say(invocation, `${file} exists and will be replaced.`);
    if (!(await confirm(invocation, "Are you sure you want to continue?"))) return 1;
  }
  const place = toStdout ? "standard output" : file;
  const age = formatMomentAndAge(backup.createdAt, host.clock.now());
  say(invocation, `Writing ${component.source} of the backup ${backup.id} (${age}) to ${place}.`);

  const files = await plane.backupFiles(backup, Buffer.from(component.path));
  const paths = script
    .inLoadOrder(files.map(({ name }) => name.toString()))
    .map((name) => Buffer.from(`${component.path}/${name}`));
  const progress = new TaskProgress(host, invocation.options, "download");
  let bytes = 0;
  try {
    const archive = await plane.backupArchive(backup, paths, (done) =>
      progress.show(done, Math.max(component.bytes, done)),
    );
    const sql = sqlText(archive.bytes, (length) => (bytes += length));
    const written = options.gzip ? gzipped(sql) : sql;
    if (toStdout) await writeToStream(written, host.stdout, host.signal);
    else await writeToFile(written, file, host.signal);
  } finally {
    progress.finish();
  }
  say(
    invocation,
    `Wrote ${formatBytes(bytes)} of SQL to ${place}. Load it into an empty database with ${script.client}.`,
  );
  return 0;
}

async function* sqlText(
  archive: AsyncIterable<Uint8Array>,
  onBytes: (length: number) => void,
): AsyncGenerator<Uint8Array> {
  for await (const { type, body } of readTar(archive)) {
    if (type !== "file") continue;
    for await (const chunk of body) {
      onBytes(chunk.length);
      yield chunk;
    }
  }
}

async function* gzipped(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const gzip = createGzip();
  // Fails what is read from it with the same error.
  const feeding = pipeline(content, gzip);
  feeding.catch(() => undefined);
  for await (const chunk of gzip as AsyncIterable<Buffer>) yield chunk;
  await feeding;
}

/** @throws HoldfastError SOURCE_NOT_FOUND, INPUT_INVALID, SERVICE_UNSUPPORTED */
function chooseDatabase(
  backup: Backup,
  wanted: string | undefined,
): { readonly component: BackupComponent; readonly script: SqlScript } {
  const services = backup.components.filter(({ source }) => source.startsWith("service:"));
  const databases = services.filter(({ kind }) => sqlScript(kind) !== undefined);
  const list = `Databases: ${databases.length === 0 ? "none" : databases.map(nameOf).join(", ")}.`;
  const facts = { backup: backup.id };
  const found = wanted === undefined ? databases : services.filter((service) => nameOf(service) === wanted);
  const [component, ...others] = found;
  if (component === undefined) {
    const what = wanted === undefined ? "PostgreSQL or MariaDB database" : `service "${wanted}"`;
    throw new HoldfastError("SOURCE_NOT_FOUND", `The backup ${backup.id} has no ${what}.`, { facts, remedy: list });
  }
  if (others.length > 0) {
    throw new HoldfastError("INPUT_INVALID", `The backup ${backup.id} has several databases.`, {
      facts,
      remedy: `Name one with --relationship (-r). ${list}`,
    });
  }
  const script = sqlScript(component.kind);
  if (script === undefined) {
    throw new HoldfastError("SERVICE_UNSUPPORTED", `There is no SQL of ${component.source}: it is ${component.kind}.`, {
      facts,
      remedy: `Take its files with:  holdfast backup:download ${backup.id} --only ${component.source} -o FILE`,
    });
  }
  return { component, script };
}

const nameOf = ({ source }: BackupComponent): string => source.slice("service:".length);

/** "shop--main--db--dump--20261121-041200-UTC.sql.gz" */
function fileName(backup: Backup, component: BackupComponent, { timestamp, gzip }: DumpOptions): string {
  const moment = backup.createdAt.toISOString().slice(0, 19).replaceAll(/[-:]/g, "").replace("T", "-");
  const parts = [backup.project, backup.environment, nameOf(component), "dump"];
  if (timestamp) parts.push(`${moment}-UTC`);
  // They may come from a server.
  return `${parts.join("--").replaceAll(/[^\w.-]+/g, "-")}.sql${gzip ? ".gz" : ""}`;
}
