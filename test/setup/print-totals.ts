import { readFile } from "node:fs/promises";

// Prints "N passed, N failed" from Vitest's JSON report. A test that neither passed nor failed was not run, which counts
// as a failure here: nothing is skipped in this project.
interface Report {
  readonly numTotalTests: number;
  readonly numPassedTests: number;
  readonly numFailedTestSuites: number;
  readonly testResults: readonly { readonly status: string; readonly assertionResults: readonly unknown[] }[];
}

const [file] = process.argv.slice(2);
if (file === undefined) throw new TypeError("usage: print-totals.ts REPORT");
const report = JSON.parse(await readFile(file, "utf8")) as Report;
// A file that cannot even be loaded has no tests to fail.
const brokenFiles = report.testResults.filter((one) => one.status === "failed" && one.assertionResults.length === 0);
const failed = report.numTotalTests - report.numPassedTests + brokenFiles.length;
process.stdout.write(`${report.numPassedTests} passed, ${failed} failed\n`);
process.exitCode = failed > 0 || report.numPassedTests === 0 ? 1 : 0;
