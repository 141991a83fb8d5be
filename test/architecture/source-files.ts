import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { parseSync } from "oxc-parser";

export const root = resolve(import.meta.dirname, "../..");

export interface ImportedModule {
  /** As written: "../base/index.ts". */
  readonly specifier: string;
  /** Path below the project's root, for relative ones. */
  readonly target: string | undefined;
  readonly line: number;
}

export interface SourceFile {
  /** Below the project's root, with "/". */
  readonly path: string;
  readonly text: string;
  readonly lines: number;
  readonly imports: readonly ImportedModule[];
  readonly comments: readonly { readonly text: string; readonly line: number }[];
  /** "export * from". */
  readonly exportsAll: boolean;
}

const leftOut = new Set(["node_modules", "dist", ".git", "assembly", "coverage", "results", "fixtures"]);

/** Every TypeScript file below these folders of the project, parsed. */
export function readSourceFiles(folders: readonly string[]): SourceFile[] {
  return folders.flatMap((folder) => listFiles(join(root, folder))).map(parseFile);
}

function listFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => !leftOut.has(entry.name))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return listFiles(path);
      return entry.name.endsWith(".ts") ? [path] : [];
    });
}

function parseFile(file: string): SourceFile {
  const text = readFileSync(file, "utf8");
  const parsed = parseSync(file, text);
  const [problem] = parsed.errors;
  if (problem !== undefined) throw new SyntaxError(`${file}: ${problem.message}`);
  const lineOf = (offset: number): number => text.slice(0, offset).split("\n").length;
  const imported = (specifier: string, offset: number): ImportedModule => ({
    specifier,
    target: specifier.startsWith(".") ? projectPath(resolve(dirname(file), specifier)) : undefined,
    line: lineOf(offset),
  });
  const { staticImports, staticExports, dynamicImports } = parsed.module;
  const imports = [
    ...staticImports.map(({ moduleRequest }) => imported(moduleRequest.value, moduleRequest.start)),
    ...staticExports.flatMap(({ entries }) =>
      entries.flatMap(({ moduleRequest }) =>
        moduleRequest === null ? [] : [imported(moduleRequest.value, moduleRequest.start)],
      ),
    ),
    ...dynamicImports.flatMap(({ moduleRequest }) => {
      const literal = /^(["'`])([^"'`$]*)\1$/.exec(text.slice(moduleRequest.start, moduleRequest.end));
      return literal?.[2] === undefined ? [] : [imported(literal[2], moduleRequest.start)];
    }),
  ];
  return {
    path: projectPath(file),
    text,
    lines: text.split("\n").length - (text.endsWith("\n") ? 1 : 0),
    imports,
    comments: parsed.comments.map((comment) => ({ text: comment.value, line: lineOf(comment.start) })),
    exportsAll: staticExports.some(({ start, end }) => /^export\s*\*\s*from\b/.test(text.slice(start, end))),
  };
}

const projectPath = (file: string): string => relative(root, file).split(sep).join("/");
