import type { BackupContents } from "../api/index.ts";
import { HoldfastError } from "../base/index.ts";
import type { Composition } from "../cli/index.ts";
import type { Config } from "../config/index.ts";
import type { Backup } from "../control/index.ts";
import { type BackupArchive, backupArchive, type BackupFile, backupFiles } from "../engine/index.ts";
import type { Repository } from "../repository/index.ts";

/** So many requests look into repositories at once, and so many take archives: each holds an index in memory. Others wait. */
const mostAtOnce = 2;

/** What the API's server reads out of the projects' repositories, each opened for one request. */
export class RepositoryContents implements BackupContents {
  readonly #config: Config;
  readonly #composition: Composition;
  readonly #looking = new Places(mostAtOnce);
  /** Of their own: an archive takes as long as who takes it. */
  readonly #archiving = new Places(mostAtOnce);

  constructor(config: Config, composition: Composition) {
    this.#config = config;
    this.#composition = composition;
  }

  sizes(backup: Backup, signal: AbortSignal): ReturnType<BackupContents["sizes"]> {
    return this.#read(backup, signal, async (repository) => {
      const { sizes } = await repository.stats({ signal });
      return (
        sizes.find(({ snapshot }) => snapshot.id === backup.snapshot) ??
        sizes.find(({ snapshot }) => snapshot.tags.includes(`backup:${backup.id}`))
      );
    });
  }

  files(backup: Backup, path: Buffer, signal: AbortSignal): Promise<readonly BackupFile[]> {
    return this.#read(backup, signal, (repository) => backupFiles(repository, backup, path, signal));
  }

  async archive(backup: Backup, paths: readonly Buffer[], signal: AbortSignal): Promise<BackupArchive> {
    const { repository, close } = await this.#open(backup, signal, this.#archiving);
    try {
      const { bytes, summary } = await backupArchive(repository, backup, paths, { signal });
      return { bytes: closedAfter(bytes, close), summary };
    } catch (error) {
      await close();
      throw error;
    }
  }

  async #read<T>(backup: Backup, signal: AbortSignal, read: (repository: Repository) => Promise<T>): Promise<T> {
    const { repository, close } = await this.#open(backup, signal, this.#looking);
    try {
      return await read(repository);
    } finally {
      await close();
    }
  }

  async #open(
    backup: Backup,
    signal: AbortSignal,
    places: Places,
  ): Promise<{ readonly repository: Repository; readonly close: () => Promise<void> }> {
    const project = this.#config.projects.find(({ id }) => id === backup.project);
    if (project === undefined) {
      const message = `The server's configuration has no project ${backup.project} any more.`;
      throw new HoldfastError("PROJECT_NOT_FOUND", message);
    }
    await places.enter();
    try {
      const repository = await this.#composition.openRepository(this.#config, project, signal);
      const close = async (): Promise<void> => {
        try {
          await repository.close();
        } finally {
          places.leave();
        }
      };
      return { repository, close };
    } catch (error) {
      places.leave();
      throw error;
    }
  }
}

/** Lets in so many at once, the others in their turn. */
class Places {
  readonly #waiting: (() => void)[] = [];
  #free: number;

  constructor(count: number) {
    this.#free = count;
  }

  async enter(): Promise<void> {
    if (this.#free > 0) this.#free -= 1;
    // Who leaves hands its place on.
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free += 1;
    else next();
  }
}

/** Closes also when nobody wants the rest, or never began. */
async function* closedAfter(bytes: AsyncIterable<Uint8Array>, close: () => Promise<void>): AsyncGenerator<Uint8Array> {
  try {
    yield* bytes;
  } finally {
    await close();
  }
}
