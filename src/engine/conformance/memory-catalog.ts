import type { ProjectId } from "../../base/index.ts";
import type { Backup, Catalog } from "../catalog.ts";

/** A catalog for one project, in memory. */
export class MemoryCatalog implements Catalog {
  readonly rows = new Map<string, Backup>();
  insert = async (backup: Backup): Promise<void> => void this.rows.set(backup.id, backup);
  list = async (): Promise<Backup[]> => [...this.rows.values()].reverse();
  get = async (_project: ProjectId, id: string): Promise<Backup | undefined> => this.rows.get(id);
  setStatus = async (_project: ProjectId, id: string, status: Backup["status"]): Promise<void> => {
    const row = this.rows.get(id);
    if (row !== undefined) this.rows.set(id, { ...row, status });
  };
  readonly finished = new Set<string>();
  operationFinished = async (_project: ProjectId, operation: string): Promise<void> =>
    void this.finished.add(operation);
  remove = async (_project: ProjectId, id: string): Promise<void> => void this.rows.delete(id);
}
