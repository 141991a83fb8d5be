import { expect, test } from "vitest";
import type { CatalogPlace } from "../control/index.ts";
import { startPostgresql } from "../services/conformance/index.ts";
import { ApiUnderTest } from "./testing/api-under-test.ts";
import { fuzzApi } from "./testing/fuzz-requests.ts";

// The long form is test/fault/api.ts.

async function fuzz(requests: number, catalog?: CatalogPlace): Promise<void> {
  const api = await ApiUnderTest.start(catalog === undefined ? {} : { catalog });
  try {
    const report = await fuzzApi(api, 1, requests);
    expect(report.problems).toEqual([]);
    // Otherwise it would have shown nothing: most get as far as a handler.
    expect(report.statuses["200"] ?? 0).toBeGreaterThan(requests / 5);
    expect(report.statuses["400"] ?? 0).toBeGreaterThan(requests / 30);
    expect((await api.call("getHealth")).status).toBe(200);
  } finally {
    await api.stop();
  }
}

test("hostile requests made from the OpenAPI document get no 5xx, no leak, no hang", () => fuzz(1500));

test("with the catalog on PostgreSQL neither", async () => {
  const server = await startPostgresql();
  try {
    server.sql("postgres", "CREATE DATABASE fuzzed");
    await fuzz(600, { url: server.url("fuzzed") });
  } finally {
    await server.stop();
  }
}, 120_000);
