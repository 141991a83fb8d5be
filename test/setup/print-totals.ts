import { readFile } from "node:fs/promises";

// Prints "N passed, N failed" from Vitest's JSON report. A test that neither passed nor failed was not run, which counts
// as a failure here: nothing is skipped in this project.
interface TestFile {
  readonly name: string;
  readonly status: string;
  readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[];
}

interface Report {
  readonly numTotalTests: number;
  readonly numPassedTests: number;
  readonly numFailedTestSuites: number;
  readonly testResults: readonly TestFile[];
}

const [file] = process.argv.slice(2);
if (file === undefined) throw new TypeError("usage: print-totals.ts REPORT");
const report = JSON.parse(await readFile(file, "utf8")) as Report;
// A file that cannot even be loaded has no tests to fail.
const brokenFiles = report.testResults.filter((one) => one.status === "failed" && one.assertionResults.length === 0);
// Vitest does not say in which file a process died; its tests are those that never ended.
for (const { name, assertionResults } of report.testResults) {
  for (const { fullName, status } of assertionResults) {
    if (status !== "passed" && status !== "failed") process.stdout.write(`not run to its end: ${name} > ${fullName}\n`);
  }
}
const failed = report.numTotalTests - report.numPassedTests + brokenFiles.length;
process.stdout.write(`${report.numPassedTests} passed, ${failed} failed\n`);
process.exitCode = failed > 0 || report.numPassedTests === 0 ? 1 : 0;
