import { readFileSync } from "node:fs";

/** The version in package.json, "0.1.0". That file stands two folders above this one, in `src/base` and in `dist/program`. */
export function programVersion(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { readonly version: string }).version;
}
