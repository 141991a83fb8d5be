import { relative, sep } from "node:path";

/** Those that are inside the folder: their paths below it. */
export function pathsWithin(folder: string, paths: readonly string[]): string[] {
  return paths.flatMap((path) => pathWithin(folder, path) ?? []);
}

/** "public/media" for /srv/shop/public/media in /srv/shop; undefined if it is not inside, or the folder itself. */
export function pathWithin(folder: string, path: string): string | undefined {
  const found = relative(folder, path);
  return found === "" || found === ".." || found.startsWith(`..${sep}`) ? undefined : found;
}
