import { expect, test } from "vitest";
import { ApiUnderTest } from "./testing/api-under-test.ts";
import { fuzzApi } from "./testing/fuzz-requests.ts";

// The long form is test/fault/api.ts.
test("hostile requests made from the OpenAPI document get no 5xx, no leak, no hang", async () => {
  const api = await ApiUnderTest.start();
  try {
    const report = await fuzzApi(api, 1, 1500);
    expect(report.problems).toEqual([]);
    // Otherwise it would have shown nothing: most get as far as a handler.
    expect(report.statuses["200"] ?? 0).toBeGreaterThan(300);
    expect(report.statuses["400"] ?? 0).toBeGreaterThan(50);
    expect((await api.call("getHealth")).status).toBe(200);
  } finally {
    await api.stop();
  }
});
