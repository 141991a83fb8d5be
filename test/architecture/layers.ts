/** The folders of src/ and what each may import (docs/design.md, "Layers"). Order: from the bottom up. */
export const layers = {
  base: [],
  component: ["base"],
  storage: ["base"],
  repository: ["storage", "component", "base"],
  archive: ["component", "base"],
  filetree: ["component", "base"],
  services: ["filetree", "component", "base"],
  mounts: ["filetree", "component", "base"],
  code: ["filetree", "component", "base"],
  gateway: ["services", "base"],
  engine: [
    "gateway",
    "code",
    "mounts",
    "services",
    "filetree",
    "archive",
    "repository",
    "storage",
    "component",
    "base",
  ],
  control: ["engine", "base"],
  contract: ["base"],
  api: ["control", "contract", "base"],
  client: ["contract", "base"],
  config: ["control", "gateway", "services", "storage", "base"],
  cli: ["archive", "client", "contract", "config", "control", "engine", "gateway", "repository", "component", "base"],
  main: ["*"],
} as const satisfies Record<string, readonly string[]>;

export type Layer = keyof typeof layers;

export const isLayer = (name: string): name is Layer => Object.hasOwn(layers, name);

export function mayImport(from: Layer, to: Layer): boolean {
  const allowed: readonly string[] = layers[from];
  return from === to || allowed.includes("*") || allowed.includes(to);
}

/** Folder names that say nothing about what is in them. */
export const forbiddenFolders = ["utils", "util", "helpers", "helper", "common", "misc", "manager", "managers", "lib"];

export const longestFileLines = 400;
