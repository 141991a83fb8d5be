import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type ErrorCodeInfo, errorCodes } from "../../src/base/index.ts";
import { root } from "./source-files.ts";

export const errorsDocument = join(root, "docs/errors.md");
const tableStart = "| code | meaning | retry | exit | HTTP |\n| --- | --- | --- | --- | --- |\n";

const retryTexts: Readonly<Record<ErrorCodeInfo["retry"], string>> = {
  never: "no",
  later: "later",
  fixed: "once mended",
};

/** docs/errors.md as src/base/error-codes.ts has it. */
export function renderErrorsDocument(): string {
  const rows = Object.entries(errorCodes).map(
    ([code, info]) => `| \`${code}\` | ${info.meaning} | ${retryTexts[info.retry]} | ${info.exit} | ${info.http} |\n`,
  );
  return `# Errors

Every error of Holdfast has a code, a message that says what and where, and mostly the next step. On the command line it
looks like this; the last line ends with the code and the exit code of the process:

\`\`\`
holdfast: main has no gateway, so its requests cannot be held for a safe backup.
  Configure a gateway for the environment, or take a live backup with --live.   [CONFIG_INVALID, exit 4]
\`\`\`

With \`--format json\` it is one line of JSON on standard error: \`{"type":"error","code":...,"message":...,"remedy":...,"facts":{...},"exit":...}\`.

\`retry\` says whether trying again helps: never, later by itself, or after something was mended. HTTP is the status with which
the API answers.

This page is generated: \`node test/architecture/errors-doc.ts --write\`. A test holds it equal to \`src/base/error-codes.ts\`.

${tableStart}${rows.join("")}
## Exit codes

| exit | meaning |
| --- | --- |
| 0 | done |
| 1 | failed |
| 3 | done, with warnings |
| 4 | bad configuration |
| 5 | server not reached |
| 6 | not permitted |
| 10 | no repository |
| 11 | locked |
| 12 | wrong password |
| 130 | interrupted |
`;
}

/** The codes in the document's table, in its order. */
export function documentedCodes(): string[] {
  const text = readFileSync(errorsDocument, "utf8");
  return Array.from(text.matchAll(/^\| `([A-Z_]+)` \|/gm), ([, code]) => code ?? "");
}

if (import.meta.main && process.argv.includes("--write")) writeFileSync(errorsDocument, renderErrorsDocument());
