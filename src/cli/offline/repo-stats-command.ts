import type { Command } from "commander";
import { formatBytes } from "../../base/index.ts";
import type { RepositoryStats, SnapshotSizes } from "../../repository/index.ts";
import { addDataOptions, type DataOptions, renderData } from "../output/data-options.ts";
import { formatTimestamp } from "../output/moment.ts";
import { type Column, renderTable } from "../output/table.ts";
import { TaskProgress } from "../progress/task-progress.ts";
import type { BackupSizes } from "../control-plane.ts";
import type { RunCommand } from "../run-command.ts";
import { type Invocation, Session } from "./session.ts";
import { snapshotJson, tagOf } from "./snapshot-text.ts";

export function registerRepoStats(program: Command, run: RunCommand): void {
  addDataOptions(
    program.command("repo:stats").description("Show what the repository holds, and what each backup takes of it"),
  ).action(run((invocation, options: DataOptions) => stats(invocation, options)));
}

async function stats(invocation: Invocation, options: DataOptions): Promise<number> {
  await using session = await Session.open(invocation, { needsRepository: true });
  const repository = await session.repository();
  const found = await measure(invocation, (onProgress) =>
    repository.stats({ signal: invocation.host.signal, onProgress }),
  );
  const { stdout } = invocation.host;
  const table = { columns, defaultColumns, rows: rowsOf(found), json: rowJson };
  if (options.format === "json") {
    const all = { location: repository.location, ...figuresOf(found), backups: table.rows.map(rowJson) };
    stdout.write(`${JSON.stringify(all, null, 2)}\n`);
    return 0;
  }
  // Rendered first, so that a wrong --columns is told in any case.
  const backups = renderData(table, options);
  if (options.format === undefined || options.format === "table") {
    const figures = Object.entries(figuresOf(found)).map(([name, value]) => ({ name, text: figureText(name, value) }));
    stdout.write(renderTable(figureColumns, figures, { format: "table", header: options.header }));
  }
  stdout.write(backups);
  return 0;
}

/** Shows on a terminal how far the measuring is. */
export async function measure(
  invocation: Invocation,
  work: (onProgress: (done: number, total: number) => void) => Promise<RepositoryStats>,
): Promise<RepositoryStats> {
  const progress = new TaskProgress(invocation.host, invocation.options, "measure");
  try {
    return await work((done, total) => progress.show(done, total));
  } finally {
    progress.finish();
  }
}

interface Figure {
  readonly name: string;
  readonly text: string;
}

const figureColumns: readonly Column<Figure>[] = [
  { name: "property", header: "Property", cell: ({ name }) => name },
  { name: "value", header: "Value", align: "right", cell: ({ text }) => text },
];

/** How many times `whole` is `part`; null where there is nothing. */
const ratio = (whole: number, part: number): number | null => (part === 0 ? null : Number((whole / part).toFixed(2)));

const figuresOf = (found: RepositoryStats): Record<string, number | null> => ({
  snapshots: found.snapshots,
  packs: found.packs,
  blobs: found.blobs,
  bytes_stored: found.bytesStored,
  bytes_uncompressed: found.bytesUncompressed,
  bytes_in_snapshots: found.bytesInSnapshots,
  bytes_used: found.bytesUsed,
  deduplication_ratio: ratio(found.bytesInSnapshots, found.bytesUsedData),
  compression_ratio: ratio(found.bytesUsedUncompressed, found.bytesUsed),
});

function figureText(name: string, value: number | null): string {
  if (value === null) return "";
  if (name.startsWith("bytes")) return formatBytes(value);
  return name.endsWith("ratio") ? value.toFixed(2) : value.toLocaleString("en-US");
}

interface Row extends SnapshotSizes {
  /** Stored bytes of this backup and all before it. */
  readonly bytesSoFar: number;
}

/** Newest first. */
function rowsOf({ sizes }: RepositoryStats): Row[] {
  let bytesSoFar = 0;
  const oldestFirst = sizes.map((one) => {
    bytesSoFar += one.bytesNew;
    return { ...one, bytesSoFar };
  });
  return oldestFirst.toReversed();
}

const bytesColumn = (name: string, header: string, bytes: (row: Row) => number): Column<Row> => ({
  name,
  header,
  align: "right",
  cell: (row) => formatBytes(bytes(row)),
  exact: (row) => String(bytes(row)),
});

const columns: readonly Column<Row>[] = [
  { name: "created_at", header: "Created", cell: ({ snapshot }) => formatTimestamp(snapshot.time) },
  { name: "id", header: "Backup ID", cell: ({ snapshot }) => tagOf(snapshot, "backup") ?? snapshot.id.slice(0, 8) },
  { name: "environment", header: "Environment", cell: ({ snapshot }) => tagOf(snapshot, "environment") ?? "" },
  { name: "snapshot", header: "Snapshot", cell: ({ snapshot }) => snapshot.id },
  bytesColumn("size", "Size", ({ bytes }) => bytes),
  bytesColumn("stored", "Stored", ({ bytesStored }) => bytesStored),
  bytesColumn("unique", "Unique", ({ bytesUnique }) => bytesUnique),
  bytesColumn("new", "New", ({ bytesNew }) => bytesNew),
  bytesColumn("so_far", "So far", ({ bytesSoFar }) => bytesSoFar),
];

const defaultColumns = columns.map(({ name }) => name).filter((name) => name !== "snapshot");

/** A snapshot's sizes as data. */
export const sizesJson = ({ bytes, bytesStored, bytesUnique, bytesNew }: BackupSizes): Record<string, number> => ({
  bytes,
  bytes_stored: bytesStored,
  bytes_unique: bytesUnique,
  bytes_new: bytesNew,
});

const rowJson = (row: Row): Record<string, unknown> => ({
  ...snapshotJson(row.snapshot),
  ...sizesJson(row),
  bytes_so_far: row.bytesSoFar,
});
