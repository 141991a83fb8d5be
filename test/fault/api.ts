// Sends hostile requests made from the OpenAPI document to the API, once with each database as its catalog:
// node test/fault/api.ts [--seed N] [--requests M]
// Prints a line of JSON for each. Exit code 1 for a 5xx, a leak, a hang, or an answer that the document does not have.
import { parseArgs } from "node:util";
import { ApiUnderTest } from "../../src/api/testing/api-under-test.ts";
import { fuzzApi } from "../../src/api/testing/fuzz-requests.ts";
import type { CatalogPlace } from "../../src/control/index.ts";
import { startPostgresql } from "../../src/services/conformance/index.ts";

const { values } = parseArgs({
  options: { seed: { type: "string", default: "1" }, requests: { type: "string", default: "10000" } },
});

async function run(kind: string, catalog: CatalogPlace | undefined): Promise<void> {
  const api = await ApiUnderTest.start(catalog === undefined ? {} : { catalog });
  const report = await fuzzApi(api, Number(values.seed), Number(values.requests));
  process.stdout.write(`${JSON.stringify({ catalog: kind, ...report })}\n`);
  if (report.problems.length > 0) process.exitCode = 1;
  await api.stop();
}

await run("sqlite", undefined);
const server = await startPostgresql();
server.sql("postgres", "CREATE DATABASE fuzzed");
await run("postgresql", { url: server.url("fuzzed") });
await server.stop();
