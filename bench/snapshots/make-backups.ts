import { existsSync, mkdirSync, utimesSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import path from "node:path";
import { silentLogger, systemClock } from "../../src/base/index.ts";
import { loadConfig } from "../../src/config/index.ts";
import { createBackup } from "../../src/engine/index.ts";
import { LocalComposition } from "../../src/main/local-composition.ts";

const folders = 20;
const filesInFolder = 100;

export const filesInBackup = folders * filesInFolder;
/** Of each backup's files so many are new. */
export const filesChanged = 20;

/**
 * Makes a configuration, a tree of 2,000 files of 2 KB in 20 folders, and live backups of it, before each of which 20 files of
 * two folders change, until there are so many. In this process: a process for each would take the time of its start a thousand times.
 */
export async function makeBackups(folder: string, count: number, say: (text: string) => void): Promise<void> {
  const root = path.join(folder, "data");
  if (!existsSync(path.join(folder, "holdfast.yaml"))) {
    for (let at = 0; at < folders; at += 1) mkdirSync(path.join(root, `folder-${at}`), { recursive: true });
    for (let file = 0; file < filesInBackup; file += 1) write(root, file % folders, Math.floor(file / folders), 0);
    writeFileSync(path.join(folder, "holdfast.yaml"), JSON.stringify(configuration));
  }
  const signal = new AbortController().signal;
  const config = await loadConfig({ file: path.join(folder, "holdfast.yaml"), env: {} });
  const composition = new LocalComposition({ clock: systemClock, env: {} });
  const [project] = config.projects;
  const [main] = project?.environments ?? [];
  if (project === undefined || main === undefined) throw new Error("The configuration has an environment.");
  await composition.createState(config);
  await composition.createPasswordFile(config, project);
  await composition.createRepository(config, project);
  const environment = await composition.environment(config, project, main, "active");
  const catalog = await composition.openCatalog(config);
  const repository = await composition.openRepository(config, project, signal);
  try {
    const context = {
      repository,
      catalog,
      stateDirectory: config.stateDirectory,
      hostname: hostname(),
      clock: systemClock,
      log: silentLogger,
      signal,
      onEvent: () => undefined,
    };
    const made = (await catalog.list(project.id)).length;
    for (let backup = made + 1; backup <= count; backup += 1) {
      for (let at = 0; at < filesChanged; at += 1) {
        write(root, (backup + (at % 2)) % folders, (backup * 7 + at) % filesInFolder, backup);
      }
      await createBackup(context, environment, { live: true });
      if (backup % 100 === 0) say(`${backup} backups`);
    }
  } finally {
    await repository.close();
    await catalog.close();
  }
}

function write(root: string, folder: number, file: number, version: number): void {
  const place = path.join(root, `folder-${folder}`, `file-${file}`);
  const line = `File ${file} of folder ${folder} in its version ${version}: ${(file * 7919 + version * 104_729) % 999_983}.\n`;
  writeFileSync(place, line.repeat(35));
  // What was written a moment ago cannot be told from what is being written.
  const past = new Date(Date.now() - 86_400_000 + version * 1000);
  utimesSync(place, past, past);
}

const configuration = {
  version: 1,
  state: "./state",
  projects: {
    bench: {
      title: "Benchmark",
      profile: "commerce-starter",
      repository: {
        passwordFile: "./repository.key",
        replicas: [{ name: "disk", type: "local", path: "./repository" }],
      },
      environments: { main: { type: "production", applications: { app: { mounts: { data: "./data" } } } } },
    },
  },
};
