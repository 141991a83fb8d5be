import { describe, expect, test } from "vitest";
import { forbiddenFolders, isLayer, type Layer, longestFileLines, mayImport } from "./layers.ts";
import { readSourceFiles, type SourceFile } from "./source-files.ts";

const files = readSourceFiles(["src", "test", "bench", "examples"]);
const inSrc = files.filter(({ path }) => path.startsWith("src/"));

const folderOf = (path: string): string | undefined => /^src\/([^/]+)\//.exec(path)?.[1];

/** Tests and what only they use may look at any layer, from outside like everybody else. */
const servesTests = (path: string): boolean =>
  /\.(test|bench)\.ts$|\/conformance\/|-test-server\.ts$|\/testing\//.test(path);

/** A layer's front door; for what serves tests also the conformance suite beside a contract. */
const isEntry = (from: string, target: string): boolean =>
  /^src\/[^/]+\/index\.ts$/.test(target) || (servesTests(from) && /^src\/[^/]+\/conformance\/index\.ts$/.test(target));

function layerOf(path: string): Layer {
  const folder = folderOf(path) ?? "";
  if (!isLayer(folder)) throw new Error(`${path} is in no known layer`);
  return folder;
}

function violations(check: (file: SourceFile) => readonly string[], among: readonly SourceFile[] = inSrc): string[] {
  return among.flatMap((file) => check(file).map((message) => `${file.path}${message}`));
}

describe("the architecture", () => {
  test("is looked at in more than 100 files", () => {
    expect(inSrc.length).toBeGreaterThan(100);
    expect(inSrc.reduce((sum, file) => sum + file.imports.length, 0)).toBeGreaterThan(300);
  });

  test("has only known layers", () => {
    expect(violations(({ path }) => (isLayer(folderOf(path) ?? "") ? [] : [" is in no known layer"]))).toEqual([]);
  });

  test("lets a layer import only what the table allows", () => {
    expect(
      violations(({ path, imports }) =>
        servesTests(path)
          ? []
          : imports.flatMap(({ target, line }) => {
              if (target === undefined || !target.startsWith("src/")) return [];
              const from = layerOf(path);
              const to = layerOf(target);
              return mayImport(from, to) ? [] : [`:${line}: ${from} may not import ${to} (${target})`];
            }),
      ),
    ).toEqual([]);
  });

  test("crosses layers only through index.ts, and stays away from its own", () => {
    expect(
      violations(({ path, imports }) =>
        imports.flatMap(({ target, line }) => {
          if (target === undefined || !target.startsWith("src/")) return [];
          const own = folderOf(path) === folderOf(target);
          const isIndex = isEntry(path, target);
          if (own && isIndex && !servesTests(path)) return [`:${line}: imports its own layer's index`];
          return own || isIndex ? [] : [`:${line}: reaches into ${target} past its index.ts`];
        }),
      ),
    ).toEqual([]);
  });

  test("imports nothing from src/ into src/ that is a test's", () => {
    expect(
      violations(({ path, imports }) =>
        servesTests(path)
          ? []
          : imports.flatMap(({ target, line }) =>
              target !== undefined && (servesTests(target) || target.startsWith("test/"))
                ? [`:${line}: imports ${target}, which serves tests`]
                : [],
            ),
      ),
    ).toEqual([]);
  });

  test("names every relative import with its .ts and exports nothing by star", () => {
    expect(
      violations(
        ({ imports, exportsAll }) => [
          ...imports
            .filter(({ specifier, target }) => target !== undefined && !/\.(ts|js|json)$/.test(specifier))
            .map(({ line, specifier }) => `:${line}: "${specifier}" has no extension`),
          ...(exportsAll ? [": export * hides what a layer offers"] : []),
        ],
        files,
      ),
    ).toEqual([]);
  });

  test("reads the process's environment and arguments only in src/main", () => {
    // These hand the environment on to the programs they start, or are a program of their own (the build of the wasm).
    const exempt = [
      "src/services/client-tool/client-tool.ts",
      "src/code/git-checkout.ts",
      "src/repository/chunker/build-wasm.ts",
    ];
    expect(
      violations(({ path, text }) =>
        path.startsWith("src/main/") || exempt.includes(path) || servesTests(path)
          ? []
          : text
              .split("\n")
              .flatMap((line, index) =>
                /process\.(env|argv|exit\b)/.test(line) && !line.trimStart().startsWith("*")
                  ? [`:${index + 1}: ${line.trim()}`]
                  : [],
              ),
      ),
    ).toEqual([]);
  });

  test("has no folder whose name says nothing", () => {
    expect(
      violations(
        ({ path }) =>
          path
            .split("/")
            .filter((name) => forbiddenFolders.includes(name.replace(/\.ts$/, "")))
            .map((name) => `: the name "${name}"`),
        files,
      ),
    ).toEqual([]);
  });

  test("names files in kebab-case", () => {
    expect(
      violations(
        ({ path }) => (/\/[a-z0-9]+(-[a-z0-9]+)*(\.[a-z]+)*\.ts$/.test(path) ? [] : [" is not in kebab-case"]),
        files.filter(({ path }) => path.includes("/")),
      ),
    ).toEqual([]);
  });

  test(`has no file of more than ${longestFileLines} lines`, () => {
    expect(violations(({ lines }) => (lines > longestFileLines ? [`: ${lines} lines`] : []), files)).toEqual([]);
  });

  test("leaves no marks of unfinished work", () => {
    const marks = /\b(TODO|FIXME|XXX|HACK)\b|@ts-(ignore|expect-error|nocheck)/;
    expect(
      violations(
        ({ comments }) =>
          comments.filter(({ text }) => marks.test(text)).map(({ text, line }) => `:${line}: ${text.trim()}`),
        files,
      ),
    ).toEqual([]);
  });

  test("skips no test and runs none alone", () => {
    const marks = /\b(?:test|it|describe|suite)\.(?:skip|only|todo|fails|skipIf|runIf)\b|\b(?:xit|xtest|xdescribe)\(/;
    expect(
      violations(
        ({ path, text }) =>
          path === "test/architecture/architecture.test.ts"
            ? []
            : text.split("\n").flatMap((line, index) => (marks.test(line) ? [`:${index + 1}: ${line.trim()}`] : [])),
        files,
      ),
    ).toEqual([]);
  });
});
