import { readFileSync } from "node:fs";

/** "holdfast 0.1.0", for the snapshots that this program writes. */
export function programVersion(): string {
  // As far above this file in `src` as it is above the compiled one in `dist`.
  const file = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  const { version } = JSON.parse(file) as { readonly version: string };
  return `holdfast ${version}`;
}
