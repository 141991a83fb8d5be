import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { errorCodes } from "../../src/base/index.ts";
import { documentedCodes, errorsDocument, renderErrorsDocument } from "./errors-doc.ts";
import { readSourceFiles } from "./source-files.ts";

describe("the table of errors", () => {
  test("documents every code", () => {
    expect(Object.keys(errorCodes).filter((code) => !documentedCodes().includes(code))).toEqual([]);
  });

  test("documents no code that does not exist", () => {
    expect(documentedCodes().filter((code) => !Object.hasOwn(errorCodes, code))).toEqual([]);
  });

  test("says of each code what the program does (else run: node test/architecture/errors-doc.ts --write)", () => {
    expect(readFileSync(errorsDocument, "utf8")).toBe(renderErrorsDocument());
  });

  test("has no code that is never used", () => {
    const sources = readSourceFiles(["src"]).filter(
      ({ path }) => path !== "src/base/error-codes.ts" && !path.endsWith(".test.ts"),
    );
    const unused = Object.keys(errorCodes).filter((code) => !sources.some(({ text }) => text.includes(`"${code}"`)));
    expect(unused).toEqual([]);
  });
});
